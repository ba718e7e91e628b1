WITH flights_facts AS (
  SELECT
    carrier.name AS carrier__name,
    COUNT(flights.flight_id) AS landings
  FROM gemel.main.flights AS flights
  LEFT JOIN gemel.main.airlines AS carrier
    ON flights.carrier = carrier.carrier
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
    MIN(carrier.name) AS carrier__name
  FROM gemel.main.flights AS flights
  LEFT JOIN gemel.main.airlines AS carrier
    ON flights.carrier = carrier.carrier
  WHERE
    flights.is_late_arrival
    AND NOT flights.tail_number IS NULL
    AND NOT DATE_TRUNC('MINUTE', flights.landed_at_utc) IS NULL
  GROUP BY
    1, 2
), ends_facts AS (
  SELECT
    starts.carrier__name,
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
  carrier__name,
  MAX(late_takeoffs_after) / NULLIF(MAX(landings), 0) AS knock_on_rate
FROM (
  SELECT
    carrier__name,
    landings,
    NULL AS late_takeoffs_after
  FROM flights_facts
  UNION ALL
  SELECT
    carrier__name,
    NULL AS landings,
    late_takeoffs_after
  FROM ends_facts
) AS facts
GROUP BY
  1
