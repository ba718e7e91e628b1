WITH facts AS (
  SELECT
    DATE_TRUNC('DAY', flights.scheduled_departure_at) AS step,
    SUM(CASE WHEN flights.is_late_departure THEN 1 ELSE 0 END) AS late_departures_to_date,
    COUNT(flights.departed_at_utc) AS departures_to_date
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
  SUM(facts.late_departures_to_date) / NULLIF(SUM(facts.departures_to_date), 0) AS late_rate_7d
FROM facts
JOIN spine
  ON facts.step <= spine.metric_time__day AND facts.step > spine.metric_time__day - INTERVAL '7' DAY
GROUP BY
  1
