WITH flights_by_step_carrier AS (
  SELECT
    CAST(flights.scheduled_departure_at AS DATE) AS step,
    flights.carrier,
    COUNT(*) AS flights
  FROM gemel.main.flights
  GROUP BY
    1, 2
), seen AS (
  SELECT DISTINCT
    facts.step
  FROM flights_by_step_carrier AS facts
), spine AS (
  SELECT
    DATE_TRUNC('DAY', spine.date_day) AS step,
    DATE_TRUNC('MONTH', spine.date_day) AS metric_time__month,
    CAST(ROW_NUMBER() OVER (PARTITION BY DATE_TRUNC('MONTH', spine.date_day) ORDER BY DATE_TRUNC('DAY', spine.date_day)) AS INT) AS number,
    CAST(DENSE_RANK() OVER (ORDER BY DATE_TRUNC('MONTH', spine.date_day)) AS INT) AS period
  FROM gemel.main.time_spine_day AS spine
), windows AS (
  SELECT
    spine.metric_time__month,
    spine.period,
    seen.step AS seen,
    MIN(spine.number) AS opens,
    MAX(spine.number + 1) AS closes
  FROM seen
  JOIN spine
    ON seen.step <= spine.step AND seen.step > spine.step - INTERVAL '7' DAY
  GROUP BY
    1, 2, 3
), spans AS (
  SELECT
    windows.metric_time__month,
    facts.carrier,
    windows.closes - windows.opens AS days,
    facts.flights,
    LEAST(
      windows.closes,
      COALESCE(LEAD(windows.opens) OVER (PARTITION BY facts.carrier, windows.period ORDER BY facts.step), windows.closes)
    ) - windows.opens AS own_days
  FROM flights_by_step_carrier AS facts
  JOIN windows
    ON facts.step = windows.seen
)
SELECT
  spans.metric_time__month,
  spans.carrier,
  SUM(spans.flights * spans.days) / SUM(spans.own_days) AS average_flights_7d
FROM spans
GROUP BY
  1, 2
