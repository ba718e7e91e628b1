WITH per__destination AS (
  SELECT
    flights.destination,
    COUNT(*) AS flights
  FROM gemel.main.flights
  GROUP BY
    1
)
SELECT
  flights.route AS flight__route,
  SUM(CASE WHEN flights.is_late_departure THEN 1 ELSE 0 END) / NULLIF(COUNT(flights.departed_at_utc), 0) AS late_rate
FROM gemel.main.flights
LEFT JOIN per__destination
  ON flights.destination = per__destination.destination
WHERE
  per__destination.flights >= 1000
GROUP BY
  1
