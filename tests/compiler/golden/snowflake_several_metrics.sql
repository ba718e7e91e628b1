SELECT
  carrier.name AS carrier__name,
  COUNT(*) AS flights,
  NULLIF(COUNT(CASE WHEN flights.distance >= 1500 THEN 1 END), 0) AS long_haul_flights,
  SUM(CASE WHEN NOT flights.is_cancelled THEN flights.seats END) / NULLIF(
    SUM(CASE WHEN NOT plane.seats IS NULL THEN CASE WHEN NOT flights.departed_at_utc IS NULL THEN 1 ELSE 0 END END),
    0
  ) AS seats_per_departure
FROM gemel.main.flights AS flights
LEFT JOIN gemel.main.airlines AS carrier
  ON flights.carrier = carrier.carrier
LEFT JOIN gemel.main.planes AS plane
  ON flights.tail_number = plane.tail_number
GROUP BY
  1
