WITH groups AS (
  SELECT
    flights.origin,
    COUNT(*) AS flights,
    SUM(CASE WHEN flights.is_late_departure THEN 1 ELSE 0 END) / NULLIF(COUNT(flights.departed_at_utc), 0) AS late_rate
  FROM gemel.main.flights
  GROUP BY
    1
  HAVING
    COUNT(*) > 100000
), totals AS (
  SELECT
    NULLIF(COUNT(*), 0) AS flights,
    SUM(CASE WHEN flights.is_late_departure THEN 1 ELSE 0 END) / NULLIF(COUNT(flights.departed_at_utc), 0) AS late_rate
  FROM gemel.main.flights
), together AS (
  SELECT
    groups.origin,
    groups.flights,
    groups.late_rate,
    FALSE AS is_total
  FROM groups
  UNION ALL
  SELECT
    NULL AS origin,
    totals.flights,
    totals.late_rate,
    TRUE AS is_total
  FROM totals
)
SELECT
  origin,
  flights,
  late_rate,
  is_total
FROM together
ORDER BY
  is_total,
  flights DESC
