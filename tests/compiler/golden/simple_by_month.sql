SELECT
  DATE_TRUNC('MONTH', flights.scheduled_departure_at) AS metric_time__month,
  COUNT(*) AS flights
FROM gemel.main.flights
GROUP BY
  1
