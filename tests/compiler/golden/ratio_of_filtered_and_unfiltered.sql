SELECT
  flights.origin,
  SUM(CASE WHEN flights.is_late_arrival THEN 1 ELSE 0 END) / NULLIF(COUNT(flights.landed_at_utc) FILTER (WHERE not flights.is_diverted), 0) AS late_arrival_rate
FROM gemel.main.flights
GROUP BY
  1
