SELECT
  flights.origin,
  COUNT(*) AS flights,
  NULLIF(COUNT(*) FILTER (WHERE flights.distance >= 1500), 0) AS long_haul_flights,
  SUM(CASE WHEN flights.is_late_departure THEN 1 ELSE 0 END) AS late_departures,
  SUM(CASE WHEN flights.is_cancelled THEN 1 ELSE 0 END) / NULLIF(COUNT(*), 0) AS cancellation_rate
FROM gemel.main.flights
GROUP BY
  1
