SELECT
  NULLIF(COUNT(*), 0) AS flights
FROM gemel.main.flights
