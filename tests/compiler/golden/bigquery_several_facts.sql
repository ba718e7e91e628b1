WITH flights_by_month AS (
  SELECT
    TIMESTAMP_TRUNC(flights.scheduled_departure_at, MONTH) AS metric_time__month,
    SUM(CASE WHEN flights.is_late_departure THEN 1 ELSE 0 END) AS late_departures,
    COUNT(flights.departed_at_utc) AS departures,
    NULLIF(COUNT(CASE WHEN flights.distance >= 1500 THEN 1 END), 0) AS long_haul_flights
  FROM gemel.main.flights
  GROUP BY
    1
), weather_by_month AS (
  SELECT
    TIMESTAMP_TRUNC(weather.observed_at, MONTH) AS metric_time__month,
    SUM(weather.precipitation) AS precipitation
  FROM gemel.main.weather
  GROUP BY
    1
)
SELECT
  metric_time__month,
  MAX(late_departures) / NULLIF(MAX(departures), 0) AS late_rate,
  MAX(long_haul_flights) AS long_haul_flights,
  MAX(precipitation) AS precipitation
FROM (
  SELECT
    metric_time__month,
    late_departures,
    departures,
    long_haul_flights,
    NULL AS precipitation
  FROM flights_by_month
  UNION ALL
  SELECT
    metric_time__month,
    NULL AS late_departures,
    NULL AS departures,
    NULL AS long_haul_flights,
    precipitation
  FROM weather_by_month
) AS facts
GROUP BY
  1
