SELECT
  flights.origin,
  COUNT(*) AS pacific_time_flights
FROM gemel.main.flights
LEFT JOIN gemel.main.airports AS destination
  ON flights.destination = destination.airport
WHERE
  destination.time_zone = 'America/Los_Angeles'
GROUP BY
  1
