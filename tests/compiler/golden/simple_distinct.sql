SELECT
  DATE_TRUNC('MONTH', flights.scheduled_departure_at) AS metric_time__month,
  COUNT(DISTINCT flights.tail_number) AS planes_in_use
FROM gemel.main.flights
GROUP BY
  1
