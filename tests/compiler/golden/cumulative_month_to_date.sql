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
)
SELECT
  spine.metric_time__day,
  SUM(facts.flights) AS flights_month_to_date
FROM flights_by_day AS facts
JOIN spine
  ON facts.metric_time__day <= spine.metric_time__day
  AND DATE_TRUNC('MONTH', facts.metric_time__day) = DATE_TRUNC('MONTH', spine.metric_time__day)
GROUP BY
  1
