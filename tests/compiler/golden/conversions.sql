WITH flights_facts AS (
  SELECT
    DATE_TRUNC('MONTH', flights.landed_at_utc) AS metric_time__month,
    COUNT(flights.flight_id) AS landings
  FROM gemel.main.flights AS flights
  WHERE
    flights.is_late_arrival
  GROUP BY
    1
), ends AS (
  SELECT
    flights.tail_number AS same_0,
    DATE_TRUNC('MINUTE', flights.departed_at_utc) AS "at",
    CASE WHEN flights.is_late_departure THEN flights.flight_id END AS measured
  FROM gemel.main.flights AS flights
  WHERE
    NOT flights.tail_number IS NULL AND NOT DATE_TRUNC('MINUTE', flights.departed_at_utc) IS NULL
), starts AS (
  SELECT
    flights.tail_number AS same_0,
    DATE_TRUNC('MINUTE', flights.landed_at_utc) AS "at",
    DATE_TRUNC('MONTH', flights.landed_at_utc) AS metric_time__month
  FROM gemel.main.flights AS flights
  WHERE
    flights.is_late_arrival
    AND NOT flights.tail_number IS NULL
    AND NOT DATE_TRUNC('MINUTE', flights.landed_at_utc) IS NULL
), ends_facts AS (
  SELECT
    starts.metric_time__month,
    COUNT(ends.measured) AS late_takeoffs_after
  FROM ends
  ASOF JOIN starts
    ON ends.same_0 = starts.same_0 AND ends."at" >= starts."at"
  WHERE
    starts."at" > ends."at" - INTERVAL '1' DAY
  GROUP BY
    1
)
SELECT
  metric_time__month,
  MAX(late_takeoffs_after) AS knock_on_departures
FROM (
  SELECT
    metric_time__month,
    landings,
    NULL AS late_takeoffs_after
  FROM flights_facts
  UNION ALL
  SELECT
    metric_time__month,
    NULL AS landings,
    late_takeoffs_after
  FROM ends_facts
) AS facts
GROUP BY
  1
