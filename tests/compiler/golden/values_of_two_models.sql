SELECT DISTINCT
  carrier.name AS carrier__name,
  plane__maker.country AS plane__maker__country
FROM gemel.main.flights
FULL JOIN gemel.main.airlines AS carrier
  ON flights.carrier = carrier.carrier
FULL JOIN gemel.main.planes AS plane
  ON flights.tail_number = plane.tail_number
FULL JOIN gemel.main.makers AS plane__maker
  ON plane.manufacturer = plane__maker.manufacturer
