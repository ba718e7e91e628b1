WITH flights_by_day AS (
  SELECT
    CAST(flights.scheduled_departure_at AS DATE) AS metric_time__day,
    COUNT(*) AS flights,
    SUM(CASE WHEN flights.is_late_departure THEN 1 ELSE 0 END) AS late_departures,
    COUNT(flights.departed_at_utc) AS departures
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
), flights_by_day_3 AS (
  SELECT
    spine.metric_time__day,
    SUM(facts.late_departures) AS late_departures_to_date,
    SUM(facts.departures) AS departures_to_date
  FROM flights_by_day AS facts
  JOIN spine
    ON facts.metric_time__day <= spine.metric_time__day
    AND DATE_TRUNC('MONTH', facts.metric_time__day) = DATE_TRUNC('MONTH', spine.metric_time__day)
  GROUP BY
    1
)
SELECT
  metric_time__day,
  MAX(flights_7d) AS flights_7d,
  MAX(late_departures_to_date) / NULLIF(MAX(departures_to_date), 0) AS late_rate_month_to_date
FROM (
  SELECT
    metric_time__day,
    flights_7d,
    NULL AS late_departures_to_date,
    NULL AS departures_to_date
  FROM flights_by_day_2
  UNION ALL
  SELECT
    metric_time__day,
    NULL AS flights_7d,
    late_departures_to_date,
    departures_to_date
  FROM flights_by_day_3
) AS facts
GROUP BY
  1
