WITH facts AS (
  SELECT
    carrier.name AS carrier__name,
    DATE_TRUNC('DAY', flights.scheduled_departure_at) AS step,
    COUNT(*) AS flights_to_date
  FROM gemel.main.flights AS flights
  LEFT JOIN gemel.main.airlines AS carrier
    ON flights.carrier = carrier.carrier
  WHERE
    flights.scheduled_departure_at >= CAST('2013-05-25' AS DATE)
  GROUP BY
    1, 2
), spine AS (
  SELECT DISTINCT
    DATE_TRUNC('DAY', spine.date_day) AS metric_time__day
  FROM gemel.main.time_spine_day AS spine
  WHERE
    spine.date_day >= CAST('2013-06-01' AS DATE)
)
SELECT
  spine.metric_time__day,
  facts.carrier__name,
  SUM(facts.flights_to_date) AS flights_7d
FROM facts
JOIN spine
  ON facts.step <= spine.metric_time__day AND facts.step > spine.metric_time__day - INTERVAL '7' DAY
GROUP BY
  1, 2
