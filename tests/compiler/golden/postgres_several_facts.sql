WITH flights_facts AS (
  SELECT
    DATE_TRUNC('MONTH', flights.scheduled_departure_at) AS metric_time__month,
    SUM(CASE WHEN flights.is_late_departure THEN 1 ELSE 0 END) AS late_departures,
    COUNT(flights.departed_at_utc) AS departures,
    NULLIF(COUNT(*) FILTER (WHERE flights.distance >= 1500), 0) AS flights
  FROM gemel.main.flights AS flights
  GROUP BY
    1
), weather_facts AS (
  SELECT
    DATE_TRUNC('MONTH', weather.observed_at) AS metric_time__month,
    SUM(weather.precipitation) AS precipitation
  FROM gemel.main.weather AS weather
  GROUP BY
    1
)
SELECT
  metric_time__month,
  CAST(MAX(late_departures) AS DOUBLE PRECISION) / NULLIF(MAX(departures), 0) AS late_rate,
  MAX(flights) AS long_haul_flights,
  MAX(precipitation) AS precipitation
FROM (
  SELECT
    metric_time__month,
    late_departures,
    departures,
    flights,
    NULL AS precipitation
  FROM flights_facts
  UNION ALL
  SELECT
    metric_time__month,
    NULL AS late_departures,
    NULL AS departures,
    NULL AS flights,
    precipitation
  FROM weather_facts
) AS facts
GROUP BY
  1
