WITH flights_facts AS (
  SELECT
    DATE_TRUNC('MONTH', flights.scheduled_departure_at) AS metric_time__month,
    COUNT(*) AS flights
  FROM gemel.main.flights AS flights
  GROUP BY
    1
), facts AS (
  SELECT
    DATE_TRUNC('DAY', flights.scheduled_departure_at) AS step,
    COUNT(*) AS flights_before
  FROM gemel.main.flights AS flights
  GROUP BY
    1
), spine AS (
  SELECT DISTINCT
    DATE_TRUNC('DAY', spine.date_day) AS step,
    DATE_TRUNC('MONTH', spine.date_day) AS metric_time__month
  FROM gemel.main.time_spine_day AS spine
), facts_facts AS (
  SELECT
    spine.metric_time__month,
    SUM(facts.flights_before) AS flights_before
  FROM facts
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
  FROM flights_facts
  UNION ALL
  SELECT
    metric_time__month,
    NULL AS flights,
    flights_before
  FROM facts_facts
) AS facts
GROUP BY
  1
