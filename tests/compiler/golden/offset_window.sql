WITH flights_by_day AS (
  SELECT
    CAST(flights.scheduled_departure_at AS DATE) AS metric_time__day,
    COUNT(*) AS flights
  FROM gemel.main.flights
  GROUP BY
    1
), spine AS (
  SELECT
    DATE_TRUNC('DAY', spine.date_day) AS metric_time__day
  FROM gemel.main.time_spine_day AS spine
), flights_by_day_2 AS (
  SELECT
    spine.metric_time__day,
    facts.flights AS flights_before
  FROM spine
  JOIN flights_by_day AS facts
    ON spine.metric_time__day - INTERVAL '1' WEEK = facts.metric_time__day
)
SELECT
  metric_time__day,
  (
    MAX(flights) - MAX(flights_before)
  ) * 1.0 / NULLIF(MAX(flights_before), 0) AS flights_wow_growth
FROM (
  SELECT
    metric_time__day,
    flights,
    NULL AS flights_before
  FROM flights_by_day
  UNION ALL
  SELECT
    metric_time__day,
    NULL AS flights,
    flights_before
  FROM flights_by_day_2
) AS facts
GROUP BY
  1
