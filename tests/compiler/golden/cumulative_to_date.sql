WITH facts AS (
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
)
SELECT
  spine.metric_time__day,
  SUM(facts.flights_to_date) AS flights_to_date
FROM facts
JOIN spine
  ON facts.step <= spine.metric_time__day
GROUP BY
  1
