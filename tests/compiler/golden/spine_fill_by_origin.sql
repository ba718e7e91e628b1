WITH spine AS (
  SELECT
    DATE_TRUNC('DAY', spine.date_day) AS metric_time__day
  FROM gemel.main.time_spine_day AS spine
  WHERE
    spine.date_day >= CAST('2013-02-01' AS DATE) AND spine.date_day < CAST('2013-03-01' AS DATE)
), flights_by_day_origin AS (
  SELECT
    CAST(flights.scheduled_departure_at AS DATE) AS metric_time__day,
    flights.origin,
    SUM(CASE WHEN flights.is_diverted THEN 1 ELSE 0 END) AS diverted_flights
  FROM gemel.main.flights
  WHERE
    flights.scheduled_departure_at >= CAST('2013-02-01' AS DATE)
    AND flights.scheduled_departure_at < CAST('2013-03-01' AS DATE)
  GROUP BY
    1, 2
)
SELECT
  spine.metric_time__day,
  facts.origin,
  COALESCE(facts.diverted_flights, 0) AS diverted_flights
FROM spine
LEFT JOIN flights_by_day_origin AS facts
  ON spine.metric_time__day = facts.metric_time__day
