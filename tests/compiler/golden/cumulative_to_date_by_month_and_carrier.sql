WITH spine AS (
  SELECT
    DATE_TRUNC('DAY', spine.date_day) AS step,
    DATE_TRUNC('MONTH', spine.date_day) AS metric_time__month
  FROM gemel.main.time_spine_day AS spine
), spine_2 AS (
  SELECT
    spine.metric_time__month,
    MAX(spine.step) AS step
  FROM spine
  GROUP BY
    1
), flights_by_step_carrier AS (
  SELECT
    CAST(flights.scheduled_departure_at AS DATE) AS step,
    flights.carrier,
    COUNT(*) AS flights
  FROM gemel.main.flights
  GROUP BY
    1, 2
), seen AS (
  SELECT DISTINCT
    facts.step
  FROM flights_by_step_carrier AS facts
), following AS (
  SELECT
    seen.step AS seen,
    MIN(edges.step) AS step
  FROM seen
  JOIN spine_2 AS edges
    ON edges.step >= seen.step
  GROUP BY
    1
), flights_by_step_carrier_2 AS (
  SELECT
    following.step,
    facts.carrier,
    SUM(facts.flights) AS flights
  FROM flights_by_step_carrier AS facts
  JOIN following
    ON facts.step = following.seen
  GROUP BY
    1, 2
), since AS (
  SELECT
    facts.carrier,
    MIN(facts.step) AS step
  FROM flights_by_step_carrier_2 AS facts
  GROUP BY
    1
), moments AS (
  SELECT
    spine.metric_time__month,
    spine.step,
    since.carrier,
    spine.step AS moment,
    NULL AS flights
  FROM spine_2 AS spine
  JOIN since
    ON spine.step >= since.step
  UNION ALL
  SELECT
    NULL AS metric_time__month,
    NULL AS step,
    facts.carrier,
    facts.step AS moment,
    facts.flights
  FROM flights_by_step_carrier_2 AS facts
), totals AS (
  SELECT
    moments.metric_time__month,
    moments.step,
    moments.carrier,
    SUM(moments.flights) OVER (PARTITION BY moments.carrier ORDER BY moments.moment) AS flights_to_date
  FROM moments
)
SELECT
  totals.metric_time__month,
  totals.carrier,
  totals.flights_to_date
FROM totals
WHERE
  totals.step IS NOT NULL
