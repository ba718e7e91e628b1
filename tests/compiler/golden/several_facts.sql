WITH flights_by_day_origin_name AS (
  SELECT
    DATE_TRUNC('DAY', flights.scheduled_departure_at) AS metric_time__day,
    origin.name AS origin__name,
    SUM(CASE WHEN flights.is_cancelled THEN 1 ELSE 0 END) AS cancelled_flights
  FROM gemel.main.flights
  LEFT JOIN gemel.main.airports AS origin
    ON flights.origin = origin.airport
  GROUP BY
    1, 2
), weather_by_day_origin_name AS (
  SELECT
    DATE_TRUNC('DAY', weather.observed_at) AS metric_time__day,
    origin.name AS origin__name,
    SUM(weather.precipitation) AS precipitation
  FROM gemel.main.weather
  LEFT JOIN gemel.main.airports AS origin
    ON weather.origin = origin.airport
  GROUP BY
    1, 2
)
SELECT
  metric_time__day,
  origin__name,
  MAX(cancelled_flights) AS cancelled_flights,
  MAX(precipitation) AS precipitation
FROM (
  SELECT
    metric_time__day,
    origin__name,
    cancelled_flights,
    NULL AS precipitation
  FROM flights_by_day_origin_name
  UNION ALL
  SELECT
    metric_time__day,
    origin__name,
    NULL AS cancelled_flights,
    precipitation
  FROM weather_by_day_origin_name
) AS facts
GROUP BY
  1, 2
