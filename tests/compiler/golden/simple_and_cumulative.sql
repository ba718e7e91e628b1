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
    SUM(facts.flights) AS flights_7d
  FROM flights_by_day AS facts
  JOIN spine
    ON facts.metric_time__day <= spine.metric_time__day
    AND facts.metric_time__day > spine.metric_time__day - INTERVAL '7' DAY
  GROUP BY
    1
)
SELECT
  metric_time__day,
  MAX(flights) AS flights,
  MAX(flights_7d) AS flights_7d
FROM (
  SELECT
    metric_time__day,
    flights,
    NULL AS flights_7d
  FROM flights_by_day
  UNION ALL
  SELECT
    metric_time__day,
    NULL AS flights,
    flights_7d
  FROM flights_by_day_2
) AS facts
GROUP BY
  1
