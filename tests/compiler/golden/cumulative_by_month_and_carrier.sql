WITH flights_by_step_carrier AS (
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
), spine AS (
  SELECT
    DATE_TRUNC('DAY', spine.date_day) AS step,
    DATE_TRUNC('MONTH', spine.date_day) AS metric_time__month
  FROM gemel.main.time_spine_day AS spine
), windows AS (
  SELECT
    spine.metric_time__month,
    seen.step AS seen,
    MAX(spine.step) AS step
  FROM seen
  JOIN spine
    ON seen.step <= spine.step AND seen.step > spine.step - INTERVAL '7' DAY
  GROUP BY
    1, 2
), moments AS (
  SELECT
    MAX(windows.step) OVER (PARTITION BY windows.metric_time__month, facts.carrier) AS step,
    windows.metric_time__month,
    facts.carrier,
    facts.step AS moment,
    facts.flights
  FROM flights_by_step_carrier AS facts
  JOIN windows
    ON facts.step = windows.seen
)
SELECT
  moments.metric_time__month,
  moments.carrier,
  SUM(moments.flights) AS flights_7d
FROM moments
WHERE
  moments.moment <= moments.step AND moments.moment > moments.step - INTERVAL '7' DAY
GROUP BY
  moments.step, moments.metric_time__month, moments.carrier
