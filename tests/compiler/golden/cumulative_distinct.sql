WITH spine AS (
  SELECT
    DATE_TRUNC('DAY', spine.date_day) AS metric_time__day
  FROM gemel.main.time_spine_day AS spine
)
SELECT
  spine.metric_time__day,
  COUNT(DISTINCT flights.tail_number) AS planes_in_use_28d
FROM gemel.main.flights
JOIN spine
  ON DATE_TRUNC('DAY', flights.scheduled_departure_at) <= spine.metric_time__day
  AND DATE_TRUNC('DAY', flights.scheduled_departure_at) > spine.metric_time__day - INTERVAL '28' DAY
GROUP BY
  1
