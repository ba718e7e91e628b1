SELECT
  carrier.name AS carrier__name,
  COUNT(*) AS flights
FROM gemel.main.flights
LEFT JOIN gemel.main.airlines AS carrier
  ON flights.carrier = carrier.carrier
GROUP BY
  1
