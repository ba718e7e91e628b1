WITH facts AS (
  SELECT
    DATE_TRUNC('DAY', flights.scheduled_departure_at) AS step,
    COUNT(*) AS flights_to_date
  FROM gemel.main.flights AS flights
  GROUP BY
    1
), spine AS (
  SELECT DISTINCT
    DATE_TRUNC('DAY', spine.date_day) AS step,
    DATE_TRUNC('MONTH', spine.date_day) AS metric_time__month
  FROM gemel.main.time_spine_day AS spine
), steps AS (
  SELECT
    spine.step,
    spine.metric_time__month,
    SUM(facts.flights_to_date) AS flights_to_date
  FROM facts
  JOIN spine
    ON facts.step <= spine.step AND facts.step > spine.step - INTERVAL '7' DAY
  GROUP BY
    1, 2
), steps_2 AS (
  SELECT DISTINCT
    steps.metric_time__month,
    FIRST_VALUE(steps.flights_to_date) OVER (PARTITION BY steps.metric_time__month ORDER BY steps.step DESC) AS flights_to_date
  FROM steps
)
SELECT
  metric_time__month,
  flights_to_date AS flights_7d
FROM steps_2
