WITH flights_facts AS (
  SELECT
    DATE_TRUNC('DAY', flights.scheduled_departure_at) AS metric_time__day,
    COUNT(*) AS flights
  FROM gemel.main.flights AS flights
  GROUP BY
    1
), facts AS (
  SELECT
    DATE_TRUNC('DAY', flights.scheduled_departure_at) AS step,
    COUNT(*) AS flights_to_date
  FROM gemel.main.flights AS flights
  GROUP BY
    1
), spine AS (
  SELECT DISTINCT
    DATE_TRUNC('DAY', spine.date_day) AS metric_time__day
  FROM gemel.main.time_spine_day AS spine
), facts_facts AS (
  SELECT
    spine.metric_time__day,
    SUM(facts.flights_to_date) AS flights_to_date
  FROM facts
  JOIN spine
    ON facts.step <= spine.metric_time__day AND facts.step > spine.metric_time__day - INTERVAL '7' DAY
  GROUP BY
    1
)
SELECT
  metric_time__day,
  MAX(flights) AS flights,
  MAX(flights_to_date) AS flights_7d
FROM (
  SELECT
    metric_time__day,
    flights,
    NULL AS flights_to_date
  FROM flights_facts
  UNION ALL
  SELECT
    metric_time__day,
    NULL AS flights,
    flights_to_date
  FROM facts_facts
) AS facts
GROUP BY
  1
