WITH spine AS (
  SELECT
    DATE_TRUNC('DAY', spine.date_day) AS step,
    DATE_TRUNC('MONTH', spine.date_day) AS metric_time__month
  FROM gemel.main.time_spine_day AS spine
), periods AS (
  SELECT
    spine.metric_time__month,
    MAX(spine.step) AS step,
    COUNT(*) AS days
  FROM spine
  GROUP BY
    1
), flights_by_step_carrier AS (
  SELECT
    CAST(flights.scheduled_departure_at AS DATE) AS step,
    flights.carrier,
    SUM(case when not flights.is_cancelled then flights.distance end) AS miles_flown
  FROM gemel.main.flights
  GROUP BY
    1, 2
), seen AS (
  SELECT DISTINCT
    facts.step
  FROM flights_by_step_carrier AS facts
), spine_2 AS (
  SELECT
    DATE_TRUNC('DAY', spine.date_day) AS step,
    DATE_TRUNC('MONTH', spine.date_day) AS metric_time__month,
    ROW_NUMBER() OVER (PARTITION BY DATE_TRUNC('MONTH', spine.date_day) ORDER BY DATE_TRUNC('DAY', spine.date_day) DESC) AS days,
    MAX(DATE_TRUNC('DAY', spine.date_day)) OVER (PARTITION BY DATE_TRUNC('MONTH', spine.date_day)) AS last
  FROM gemel.main.time_spine_day AS spine
), entries AS (
  SELECT
    spine.metric_time__month,
    spine.last,
    spine.days,
    seen.step AS seen
  FROM seen
  ASOF JOIN spine_2 AS spine
    ON seen.step <= spine.step
), flights_by_month_carrier_step AS (
  SELECT
    entries.metric_time__month,
    facts.carrier,
    entries.last AS step,
    SUM(facts.miles_flown) AS miles_flown,
    SUM(facts.miles_flown * entries.days) AS total,
    MAX(entries.days) FILTER (WHERE facts.miles_flown IS NOT NULL) AS own_days
  FROM flights_by_step_carrier AS facts
  JOIN entries
    ON facts.step = entries.seen
  GROUP BY
    1, 2, 3
), since AS (
  SELECT
    facts.carrier,
    MIN(facts.step) AS step
  FROM flights_by_month_carrier_step AS facts
  GROUP BY
    1
), together AS (
  SELECT
    periods.metric_time__month,
    since.carrier,
    periods.step,
    periods.days,
    NULL AS miles_flown,
    NULL AS total,
    NULL AS own_days
  FROM periods
  JOIN since
    ON periods.step >= since.step
  UNION ALL
  SELECT
    facts.metric_time__month,
    facts.carrier,
    facts.step,
    NULL AS days,
    facts.miles_flown,
    facts.total,
    facts.own_days
  FROM flights_by_month_carrier_step AS facts
), totals AS (
  SELECT
    together.metric_time__month,
    together.carrier,
    MAX(together.days) AS days,
    MAX(together.own_days) AS own_days,
    SUM(together.total) AS total,
    SUM(SUM(together.miles_flown)) OVER (PARTITION BY together.carrier ORDER BY together.step ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
  FROM together
  GROUP BY
    together.metric_time__month, together.carrier, together.step
)
SELECT
  totals.metric_time__month,
  totals.carrier,
  (
    COALESCE(totals.before * totals.days, 0) + COALESCE(totals.total, 0)
  ) / CASE WHEN totals.before IS NOT NULL THEN totals.days ELSE totals.own_days END AS average_miles_to_date
FROM totals
