WITH flights_by_step AS (
  SELECT
    CAST(flights.scheduled_departure_at AS DATE) AS step,
    COUNT(*) AS flights
  FROM gemel.main.flights
  GROUP BY
    1
), spine AS (
  SELECT
    DATE_TRUNC('DAY', spine.date_day) AS step,
    DATE_TRUNC('MONTH', spine.date_day) AS metric_time__month
  FROM gemel.main.time_spine_day AS spine
), steps AS (
  SELECT
    spine.step,
    spine.metric_time__month,
    SUM(facts.flights) AS flights_7d
  FROM flights_by_step AS facts
  JOIN spine
    ON facts.step <= spine.step AND facts.step > spine.step - INTERVAL '7' DAY
  GROUP BY
    1, 2
), flights_by_month AS (
  SELECT DISTINCT
    steps.metric_time__month,
    FIRST_VALUE(steps.flights_7d) OVER (PARTITION BY steps.metric_time__month ORDER BY steps.step DESC) AS flights_7d
  FROM steps
)
SELECT
  metric_time__month,
  flights_7d
FROM flights_by_month
