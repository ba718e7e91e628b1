WITH known AS (
  SELECT
    flights.origin,
    DATE_TRUNC('HOUR', CAST(flights.outcome_known_at_utc AS TIMESTAMP)) + INTERVAL '1 HOUR' AS event_timestamp,
    CASE WHEN flights.departed_at_utc IS NOT NULL THEN 1 ELSE 0 END AS departures,
    flights.departure_delay AS longest_departure_delay,
    CASE WHEN NOT flights.is_cancelled THEN flights.seats END AS seats_flown,
    CASE WHEN NOT plane.seats IS NULL THEN CASE WHEN flights.departed_at_utc IS NOT NULL THEN 1 ELSE 0 END END AS departures_2
  FROM gemel.main.flights
  LEFT JOIN gemel.main.planes AS plane
    ON flights.tail_number = plane.tail_number
  WHERE
    flights.origin IS NOT NULL
    AND flights.outcome_known_at_utc IS NOT NULL
    AND flights.outcome_known_at_utc < DATE_TRUNC('HOUR', CAST('2014-01-01' AS TIMESTAMP))
)
SELECT
  known.event_timestamp,
  COUNT(*) AS facts,
  SUM(
    HASHTEXTEXTENDED(
      CAST(ROW(known.origin, known.departures, known.longest_departure_delay, known.seats_flown, known.departures_2) AS TEXT),
      0
    )
  ) AS hash
FROM known
GROUP BY
  1
