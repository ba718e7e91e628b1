SELECT
  SUM(CASE WHEN flights.is_cancelled THEN 1 ELSE 0 END) / NULLIF(COUNT(*), 0) AS cancellation_rate
FROM gemel.main.flights
