SELECT
  flights.carrier,
  COUNT(flights.departed_at_utc) AS departures
FROM gemel.main.flights
GROUP BY
  1
