SELECT
  carrier.name AS carrier__name,
  COUNT(*) AS long_haul_flights
FROM gemel.main.flights
LEFT JOIN gemel.main.airlines AS carrier
  ON flights.carrier = carrier.carrier
LEFT JOIN gemel.main.planes AS plane
  ON flights.tail_number = plane.tail_number
LEFT JOIN gemel.main.makers AS plane__maker
  ON plane.manufacturer = plane__maker.manufacturer
WHERE
  flights.distance >= 1500 AND (
    plane__maker.country = 'France' OR flights.is_cancelled
  )
GROUP BY
  1
