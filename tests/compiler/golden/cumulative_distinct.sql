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
  ON CAST(flights.scheduled_departure_at AS DATE) <= spine.metric_time__day
  AND CAST(flights.scheduled_departure_at AS DATE) > spine.metric_time__day - INTERVAL '28' DAY
GROUP BY
  1
