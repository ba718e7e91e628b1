SELECT
  carrier.name AS carrier__name,
  COUNT(*) AS flights,
  SUM(CASE WHEN flights.is_late_departure THEN 1 ELSE 0 END) / NULLIF(COUNT(flights.departed_at_utc), 0) AS late_rate
FROM gemel.main.flights
LEFT JOIN gemel.main.airlines AS carrier
  ON flights.carrier = carrier.carrier
GROUP BY
  1
HAVING
  (
    SUM(CASE WHEN flights.is_late_departure THEN 1 ELSE 0 END) / NULLIF(COUNT(flights.departed_at_utc), 0)
  ) > 0.2
ORDER BY
  late_rate DESC
LIMIT 5
