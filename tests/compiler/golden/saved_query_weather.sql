WITH flights_by_day_origin_name AS (
  SELECT
    DATE_TRUNC('DAY', flights.scheduled_departure_at) AS metric_time__day,
    origin.name AS origin__name,
    SUM(CASE WHEN flights.is_cancelled THEN 1 ELSE 0 END) AS cancelled_flights,
    COUNT(*) AS flights
  FROM gemel.main.flights
  LEFT JOIN gemel.main.airports AS origin
    ON flights.origin = origin.airport
  WHERE
    DATE_TRUNC('MONTH', flights.scheduled_departure_at) < '2013-04-01'
  GROUP BY
    1, 2
), weather_by_day_origin_name AS (
  SELECT
    DATE_TRUNC('DAY', weather.observed_at) AS metric_time__day,
    origin.name AS origin__name,
    SUM(weather.precipitation) AS precipitation,
    MIN(weather.visibility) AS lowest_visibility,
    AVG(weather.temperature) AS average_temperature
  FROM gemel.main.weather
  LEFT JOIN gemel.main.airports AS origin
    ON weather.origin = origin.airport
  WHERE
    DATE_TRUNC('MONTH', weather.observed_at) < '2013-04-01'
  GROUP BY
    1, 2
)
SELECT
  metric_time__day,
  origin__name,
  MAX(cancelled_flights) AS cancelled_flights,
  MAX(cancelled_flights) / NULLIF(MAX(flights), 0) AS cancellation_rate,
  MAX(precipitation) AS precipitation,
  MAX(lowest_visibility) AS lowest_visibility,
  MAX(average_temperature) AS average_temperature
FROM (
  SELECT
    metric_time__day,
    origin__name,
    cancelled_flights,
    flights,
    NULL AS precipitation,
    NULL AS lowest_visibility,
    NULL AS average_temperature
  FROM flights_by_day_origin_name
  UNION ALL
  SELECT
    metric_time__day,
    origin__name,
    NULL AS cancelled_flights,
    NULL AS flights,
    precipitation,
    lowest_visibility,
    average_temperature
  FROM weather_by_day_origin_name
) AS facts
GROUP BY
  1, 2
