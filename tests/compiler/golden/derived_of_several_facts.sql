WITH flights_by_month AS (
  SELECT
    DATE_TRUNC('MONTH', flights.scheduled_departure_at) AS metric_time__month,
    SUM(CASE WHEN flights.is_cancelled THEN 1 ELSE 0 END) AS cancelled_flights
  FROM gemel.main.flights
  GROUP BY
    1
), weather_by_month AS (
  SELECT
    DATE_TRUNC('MONTH', weather.observed_at) AS metric_time__month,
    SUM(weather.precipitation) AS precipitation
  FROM gemel.main.weather
  GROUP BY
    1
)
SELECT
  metric_time__month,
  MAX(cancelled_flights) / NULLIF(MAX(precipitation), 0) AS cancelled_flights_per_inch
FROM (
  SELECT
    metric_time__month,
    cancelled_flights,
    NULL AS precipitation
  FROM flights_by_month
  UNION ALL
  SELECT
    metric_time__month,
    NULL AS cancelled_flights,
    precipitation
  FROM weather_by_month
) AS facts
GROUP BY
  1
