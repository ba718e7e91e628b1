WITH flights_by_step_carrier AS (
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
), spine AS (
  SELECT
    DATE_TRUNC('DAY', spine.date_day) AS step,
    DATE_TRUNC('MONTH', spine.date_day) AS metric_time__month,
    CAST(ROW_NUMBER() OVER (PARTITION BY DATE_TRUNC('MONTH', spine.date_day) ORDER BY DATE_TRUNC('DAY', spine.date_day) DESC) AS INT) AS days,
    CAST(DENSE_RANK() OVER (ORDER BY DATE_TRUNC('MONTH', spine.date_day) DESC) AS INT) AS period
  FROM gemel.main.time_spine_day AS spine
), entries AS (
  SELECT
    spine.period,
    spine.days,
    seen.step AS seen
  FROM seen
  ASOF JOIN spine
    ON seen.step <= spine.step
), flights_by_period_carrier AS (
  SELECT
    entries.period,
    facts.carrier,
    SUM(facts.miles_flown) AS miles_flown,
    SUM(facts.miles_flown * entries.days) AS total,
    MAX(entries.days) FILTER (WHERE facts.miles_flown IS NOT NULL) AS own_days
  FROM flights_by_step_carrier AS facts
  JOIN entries
    ON facts.step = entries.seen
  GROUP BY
    1, 2
), totals AS (
  SELECT
    facts.period,
    facts.carrier,
    facts.total,
    facts.own_days,
    COALESCE(LEAD(facts.period) OVER (PARTITION BY facts.carrier ORDER BY facts.period DESC), 0) AS next_period,
    SUM(facts.miles_flown) OVER (PARTITION BY facts.carrier ORDER BY facts.period DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before,
    SUM(facts.miles_flown) OVER (PARTITION BY facts.carrier ORDER BY facts.period DESC) AS until
  FROM flights_by_period_carrier AS facts
), spine_2 AS (
  SELECT
    DATE_TRUNC('DAY', spine.date_day) AS step,
    DATE_TRUNC('MONTH', spine.date_day) AS metric_time__month
  FROM gemel.main.time_spine_day AS spine
), periods AS (
  SELECT
    spine.metric_time__month,
    COUNT(*) AS days,
    CAST(DENSE_RANK() OVER (ORDER BY spine.metric_time__month DESC) AS INT) AS period
  FROM spine_2 AS spine
  GROUP BY
    1
)
SELECT
  periods.metric_time__month,
  totals.carrier,
  CASE
    WHEN periods.period = totals.period
    THEN (
      COALESCE(totals.before * periods.days, 0) + COALESCE(totals.total, 0)
    ) / CASE WHEN totals.before IS NOT NULL THEN periods.days ELSE totals.own_days END
    ELSE totals.until
  END AS average_miles_to_date
FROM totals
JOIN periods
  ON periods.period <= totals.period AND periods.period > totals.next_period
