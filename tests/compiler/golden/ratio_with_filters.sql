SELECT
  DATE_TRUNC('MONTH', flights.scheduled_departure_at) AS metric_time__month,
  SUM(CASE WHEN NOT flights.is_cancelled THEN flights.seats END) / NULLIF(SUM(CASE WHEN NOT flights.departed_at_utc IS NULL THEN 1 ELSE 0 END) FILTER (WHERE NOT plane.seats IS NULL), 0) AS seats_per_departure
FROM gemel.main.flights AS flights
LEFT JOIN gemel.main.planes AS plane
  ON flights.tail_number = plane.tail_number
GROUP BY
  1
