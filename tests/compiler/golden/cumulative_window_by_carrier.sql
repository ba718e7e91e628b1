WITH flights_by_day_carrier_name AS (
  SELECT
    CAST(flights.scheduled_departure_at AS DATE) AS metric_time__day,
    carrier.name AS carrier__name,
    COUNT(*) AS flights
  FROM gemel.main.flights
  LEFT JOIN gemel.main.airlines AS carrier
    ON flights.carrier = carrier.carrier
  WHERE
    flights.scheduled_departure_at >= CAST('2013-05-25' AS DATE)
  GROUP BY
    1, 2
), seen AS (
  SELECT DISTINCT
    facts.metric_time__day
  FROM flights_by_day_carrier_name AS facts
), spine AS (
  SELECT
    DATE_TRUNC('DAY', spine.date_day) AS metric_time__day
  FROM gemel.main.time_spine_day AS spine
  WHERE
    spine.date_day >= CAST('2013-06-01' AS DATE)
), windows AS (
  SELECT DISTINCT
    spine.metric_time__day,
    seen.metric_time__day AS seen
  FROM seen
  JOIN spine
    ON seen.metric_time__day <= spine.metric_time__day
    AND seen.metric_time__day > spine.metric_time__day - INTERVAL '7' DAY
)
SELECT
  windows.metric_time__day,
  facts.carrier__name,
  SUM(facts.flights) AS flights_7d
FROM flights_by_day_carrier_name AS facts
JOIN windows
  ON facts.metric_time__day = windows.seen
GROUP BY
  1, 2
