SELECT
  DATE_TRUNC('MONTH', flights.scheduled_departure_at) AS metric_time__month,
  SUM(CASE WHEN NOT flights.is_cancelled THEN flights.seats END) / NULLIF(COUNT(flights.departed_at_utc) FILTER (WHERE NOT plane.seats IS NULL), 0) AS seats_per_departure
FROM gemel.main.flights
LEFT JOIN gemel.main.planes AS plane
  ON flights.tail_number = plane.tail_number
GROUP BY
  1
