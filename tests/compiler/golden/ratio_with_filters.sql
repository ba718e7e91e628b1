SELECT
  DATE_TRUNC('MONTH', flights.scheduled_departure_at) AS metric_time__month,
  SUM(case when not flights.is_cancelled then flights.seats end) / NULLIF(COUNT(flights.departed_at_utc) FILTER (WHERE plane.seats is not null), 0) AS seats_per_departure
FROM gemel.main.flights
LEFT JOIN gemel.main.planes AS plane
  ON flights.tail_number = plane.tail_number
GROUP BY
  1
