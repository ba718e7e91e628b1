SELECT
  MIN(flights.distance) AS flight__distance__min,
  MAX(flights.distance) AS flight__distance__max
FROM gemel.main.flights
