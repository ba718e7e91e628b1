WITH sightings AS (
  SELECT
    flights.tail_number AS value,
    CAST(flights.scheduled_departure_at AS DATE) AS opens,
    CAST(flights.scheduled_departure_at AS DATE) + INTERVAL '28' DAY AS closes
  FROM gemel.main.flights
  WHERE
    CAST(flights.scheduled_departure_at AS DATE) IS NOT NULL
), spans AS (
  SELECT
    sightings.value,
    sightings.opens,
    LEAST(
      sightings.closes,
      COALESCE(LEAD(sightings.opens) OVER (PARTITION BY sightings.value ORDER BY sightings.opens), sightings.closes)
    ) AS closes
  FROM sightings
), changes AS (
  SELECT
    spans.opens AS metric_time__day,
    COUNT(spans.value) AS planes_in_use_28d,
    COUNT(*) AS seen
  FROM spans
  GROUP BY
    1
  UNION ALL
  SELECT
    spans.closes AS metric_time__day,
    -COUNT(spans.value) AS planes_in_use_28d,
    -COUNT(*) AS seen
  FROM spans
  GROUP BY
    1
), spine AS (
  SELECT
    DATE_TRUNC('DAY', spine.date_day) AS metric_time__day
  FROM gemel.main.time_spine_day AS spine
)
SELECT
  spine.metric_time__day,
  CAST(SUM(facts.planes_in_use_28d) AS BIGINT) AS planes_in_use_28d
FROM changes AS facts
JOIN spine
  ON facts.metric_time__day <= spine.metric_time__day
GROUP BY
  1
HAVING
  SUM(facts.seen) > 0
