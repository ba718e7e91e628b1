WITH flights_by_step AS (
  SELECT
    CAST(flights.scheduled_departure_at AS DATE) AS step,
    COUNT(*) AS flights
  FROM gemel.main.flights
  GROUP BY
    1
), flights_by_month AS (
  SELECT
    DATE_TRUNC('MONTH', facts.step) AS metric_time__month,
    CAST(SUM(facts.flights) AS BIGINT) AS flights
  FROM flights_by_step AS facts
  GROUP BY
    1
), spine AS (
  SELECT
    DATE_TRUNC('DAY', spine.date_day) AS step,
    DATE_TRUNC('MONTH', spine.date_day) AS metric_time__month
  FROM gemel.main.time_spine_day AS spine
), flights_by_month_2 AS (
  SELECT
    spine.metric_time__month,
    SUM(facts.flights) AS flights_before
  FROM flights_by_step AS facts
  JOIN spine
    ON spine.step - INTERVAL '1' WEEK = facts.step
  GROUP BY
    1
)
SELECT
  metric_time__month,
  (
    MAX(flights) - MAX(flights_before)
  ) * 1.0 / NULLIF(MAX(flights_before), 0) AS flights_wow_growth
FROM (
  SELECT
    metric_time__month,
    flights,
    NULL AS flights_before
  FROM flights_by_month
  UNION ALL
  SELECT
    metric_time__month,
    NULL AS flights,
    flights_before
  FROM flights_by_month_2
) AS facts
GROUP BY
  1
