SELECT
  origin.name AS origin__name,
  destination.name AS destination__name,
  COUNT(*) AS flights
FROM gemel.main.flights
LEFT JOIN gemel.main.airports AS origin
  ON flights.origin = origin.airport
LEFT JOIN gemel.main.airports AS destination
  ON flights.destination = destination.airport
GROUP BY
  1, 2
