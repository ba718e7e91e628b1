WITH spine AS (
  SELECT
    DATE_TRUNC('DAY', spine.date_day) AS metric_time__day
  FROM gemel.main.time_spine_day AS spine
), flights_by_day_carrier_name AS (
  SELECT
    CAST(flights.scheduled_departure_at AS DATE) AS metric_time__day,
    carrier.name AS carrier__name,
    COUNT(*) AS flights
  FROM gemel.main.flights
  LEFT JOIN gemel.main.airlines AS carrier
    ON flights.carrier = carrier.carrier
  GROUP BY
    1, 2
), since AS (
  SELECT
    facts.carrier__name,
    MIN(facts.metric_time__day) AS metric_time__day
  FROM flights_by_day_carrier_name AS facts
  GROUP BY
    1
), moments AS (
  SELECT
    spine.metric_time__day,
    since.carrier__name,
    spine.metric_time__day AS moment,
    NULL AS flights
  FROM spine
  JOIN since
    ON spine.metric_time__day >= since.metric_time__day
  UNION ALL
  SELECT
    NULL AS metric_time__day,
    facts.carrier__name,
    facts.metric_time__day AS moment,
    facts.flights
  FROM flights_by_day_carrier_name AS facts
), totals AS (
  SELECT
    moments.metric_time__day,
    moments.carrier__name,
    SUM(moments.flights) OVER (PARTITION BY moments.carrier__name ORDER BY moments.moment) AS flights_to_date
  FROM moments
)
SELECT
  totals.metric_time__day,
  totals.carrier__name,
  totals.flights_to_date
FROM totals
WHERE
  totals.metric_time__day IS NOT NULL
