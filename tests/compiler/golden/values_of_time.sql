SELECT DISTINCT
  DATE_TRUNC('MONTH', spine.date_day) AS metric_time__month
FROM gemel.main.time_spine_day AS spine
