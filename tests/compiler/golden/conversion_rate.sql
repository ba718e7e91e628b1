WITH flights_by_carrier_name AS (
  SELECT
    carrier.name AS carrier__name,
    COUNT(flights.flight_id) AS landings
  FROM gemel.main.flights
  LEFT JOIN gemel.main.airlines AS carrier
    ON flights.carrier = carrier.carrier
  WHERE
    flights.is_late_arrival
  GROUP BY
    1
), ends AS (
  SELECT
    flights.tail_number AS plane,
    DATE_TRUNC('MINUTE', flights.departed_at_utc) AS happened_at,
    case when flights.is_late_departure then flights.flight_id end AS late_takeoffs_after
  FROM gemel.main.flights
  WHERE
    flights.tail_number IS NOT NULL AND DATE_TRUNC('MINUTE', flights.departed_at_utc) IS NOT NULL
), starts AS (
  SELECT
    flights.tail_number AS plane,
    DATE_TRUNC('MINUTE', flights.landed_at_utc) AS happened_at,
    MIN(carrier.name) AS carrier__name
  FROM gemel.main.flights
  LEFT JOIN gemel.main.airlines AS carrier
    ON flights.carrier = carrier.carrier
  WHERE
    flights.is_late_arrival
    AND flights.tail_number IS NOT NULL
    AND DATE_TRUNC('MINUTE', flights.landed_at_utc) IS NOT NULL
  GROUP BY
    1, 2
), flights_by_carrier_name_2 AS (
  SELECT
    starts.carrier__name,
    COUNT(ends.late_takeoffs_after) AS late_takeoffs_after
  FROM ends
  ASOF JOIN starts
    ON ends.plane = starts.plane AND ends.happened_at >= starts.happened_at
  WHERE
    starts.happened_at > ends.happened_at - INTERVAL '1' DAY
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
  FROM flights_by_carrier_name
  UNION ALL
  SELECT
    carrier__name,
    NULL AS landings,
    late_takeoffs_after
  FROM flights_by_carrier_name_2
) AS facts
GROUP BY
  1
