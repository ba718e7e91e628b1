SELECT
  EXTRACT(ISODOW FROM flights.scheduled_departure_at) AS metric_time__extract_dow,
  COUNT(*) AS flights
FROM gemel.main.flights
GROUP BY
  1
ORDER BY
  metric_time__extract_dow
