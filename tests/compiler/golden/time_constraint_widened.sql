SELECT
  DATE_TRUNC('MONTH', flights.scheduled_departure_at) AS metric_time__month,
  COUNT(*) AS flights
FROM gemel.main.flights
WHERE
  flights.scheduled_departure_at >= CAST('2013-02-01' AS DATE)
  AND flights.scheduled_departure_at < CAST('2013-04-01' AS DATE)
GROUP BY
  1
