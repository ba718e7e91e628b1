WITH spine AS (
  SELECT
    DATE_TRUNC('DAY', spine.date_day) AS metric_time__day
  FROM gemel.main.time_spine_day AS spine
), flights_by_day AS (
  SELECT
    CAST(flights.scheduled_departure_at AS DATE) AS metric_time__day,
    SUM(CASE WHEN flights.is_diverted THEN 1 ELSE 0 END) AS diverted_flights
  FROM gemel.main.flights
  GROUP BY
    1
)
SELECT
  spine.metric_time__day,
  COALESCE(facts.diverted_flights, 0) AS diverted_flights
FROM spine
LEFT JOIN flights_by_day AS facts
  ON spine.metric_time__day = facts.metric_time__day
