WITH flights_by_day_origin AS (
  SELECT
    CAST(flights.scheduled_departure_at AS DATE) AS metric_time__day,
    flights.origin,
    COUNT(*) AS flights
  FROM gemel.main.flights
  GROUP BY
    1, 2
), spine AS (
  SELECT
    DATE_TRUNC('DAY', spine.date_day) AS metric_time__day
  FROM gemel.main.time_spine_day AS spine
), flights_by_day_origin_2 AS (
  SELECT
    spine.metric_time__day,
    facts.origin,
    facts.flights AS flights_before
  FROM spine
  JOIN flights_by_day_origin AS facts
    ON DATE_TRUNC('MONTH', spine.metric_time__day) = facts.metric_time__day
)
SELECT
  metric_time__day,
  origin,
  MAX(flights) - MAX(flights_before) AS flights_vs_month_start
FROM (
  SELECT
    metric_time__day,
    origin,
    flights,
    NULL AS flights_before
  FROM flights_by_day_origin
  UNION ALL
  SELECT
    metric_time__day,
    origin,
    NULL AS flights,
    flights_before
  FROM flights_by_day_origin_2
) AS facts
GROUP BY
  1, 2
