SELECT
  NULLIF(COUNT(*), 0) AS flights_to_date
FROM gemel.main.flights
