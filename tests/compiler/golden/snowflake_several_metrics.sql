SELECT
  carrier.name AS carrier__name,
  COUNT(*) AS flights,
  NULLIF(COUNT(CASE WHEN flights.distance >= 1500 THEN 1 END), 0) AS long_haul_flights,
  CAST(SUM(CASE WHEN NOT flights.is_cancelled THEN flights.seats END) AS DOUBLE) / NULLIF(COUNT(CASE WHEN NOT plane.seats IS NULL THEN flights.departed_at_utc END), 0) AS seats_per_departure
FROM gemel.main.flights
LEFT JOIN gemel.main.airlines AS carrier
  ON flights.carrier = carrier.carrier
LEFT JOIN gemel.main.planes AS plane
  ON flights.tail_number = plane.tail_number
GROUP BY
  1
