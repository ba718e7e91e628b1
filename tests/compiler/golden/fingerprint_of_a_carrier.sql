WITH known AS (
  SELECT
    flights.carrier,
    DATE_TRUNC('DAY', CAST(flights.outcome_known_at_utc AS TIMESTAMP)) + INTERVAL '1' DAY AS event_timestamp,
    CASE WHEN flights.is_late_departure THEN 1 ELSE 0 END AS late_departures,
    CASE WHEN flights.departed_at_utc IS NOT NULL THEN 1 ELSE 0 END AS departures,
    flights.departure_delay AS average_departure_delay_sum
  FROM gemel.main.flights
  WHERE
    flights.carrier IS NOT NULL
    AND flights.outcome_known_at_utc IS NOT NULL
    AND flights.outcome_known_at_utc < DATE_TRUNC('DAY', CAST('2014-01-01' AS TIMESTAMP) - INTERVAL '2' HOUR)
)
SELECT
  known.event_timestamp + INTERVAL '2' HOUR AS event_timestamp,
  COUNT(*) AS facts,
  SUM(
    HASH(
      TYPEOF(ROW(known.carrier, known.late_departures, known.departures, known.average_departure_delay_sum, carrier.name)),
      known.carrier,
      known.late_departures,
      known.departures,
      known.average_departure_delay_sum,
      carrier.name
    )
  ) AS hash
FROM known
LEFT JOIN gemel.main.airlines AS carrier
  ON known.carrier = carrier.carrier
GROUP BY
  1
