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
), facts_facts AS (
  SELECT
    spine.metric_time__day,
    SUM(facts.flights_to_date) AS flights_to_date
  FROM facts
  JOIN spine
    ON facts.step <= spine.metric_time__day AND facts.step > spine.metric_time__day - INTERVAL '7' DAY
  GROUP BY
    1
), facts_2 AS (
  SELECT
    DATE_TRUNC('DAY', flights.scheduled_departure_at) AS step,
    SUM(CASE WHEN flights.is_late_departure THEN 1 ELSE 0 END) AS late_departures_to_date,
    COUNT(flights.departed_at_utc) AS departures_to_date
  FROM gemel.main.flights AS flights
  GROUP BY
    1
), facts_facts_2 AS (
  SELECT
    spine.metric_time__day,
    SUM(facts.late_departures_to_date) AS late_departures_to_date,
    SUM(facts.departures_to_date) AS departures_to_date
  FROM facts_2 AS facts
  JOIN spine
    ON facts.step <= spine.metric_time__day AND facts.step >= DATE_TRUNC('MONTH', spine.metric_time__day)
  GROUP BY
    1
)
SELECT
  metric_time__day,
  MAX(flights_to_date) AS flights_7d,
  MAX(late_departures_to_date) / NULLIF(MAX(departures_to_date), 0) AS late_rate_month_to_date
FROM (
  SELECT
    metric_time__day,
    flights_to_date,
    NULL AS late_departures_to_date,
    NULL AS departures_to_date
  FROM facts_facts
  UNION ALL
  SELECT
    metric_time__day,
    NULL AS flights_to_date,
    late_departures_to_date,
    departures_to_date
  FROM facts_facts_2
) AS facts
GROUP BY
  1
