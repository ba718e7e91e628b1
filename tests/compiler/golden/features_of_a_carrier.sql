WITH flights_by_step AS (
  SELECT
    flights.carrier,
    DATE_TRUNC('DAY', CAST(flights.outcome_known_at_utc AS TIMESTAMP)) + INTERVAL '1' DAY AS event_timestamp,
    COUNT(*) AS flights,
    SUM(CASE WHEN flights.is_late_departure THEN 1 ELSE 0 END) AS late_departures,
    COUNT(flights.departed_at_utc) AS departures,
    SUM(flights.departure_delay) AS average_departure_delay_sum,
    COUNT(flights.departure_delay) AS average_departure_delay_count
  FROM gemel.main.flights
  WHERE
    flights.carrier IS NOT NULL
    AND flights.outcome_known_at_utc IS NOT NULL
    AND flights.outcome_known_at_utc < DATE_TRUNC('DAY', CAST('2014-01-01' AS TIMESTAMP) - INTERVAL '2' HOUR)
  GROUP BY
    1, 2
), moments AS (
  SELECT
    carrier,
    event_timestamp
  FROM (
    SELECT
      carrier,
      event_timestamp
    FROM flights_by_step
    UNION
    SELECT
      carrier,
      event_timestamp + INTERVAL '1' DAY AS event_timestamp
    FROM flights_by_step
    UNION
    SELECT
      carrier,
      event_timestamp + INTERVAL '7' DAY AS event_timestamp
    FROM flights_by_step
  ) AS changes
  WHERE
    event_timestamp <= DATE_TRUNC('DAY', CAST('2014-01-01' AS TIMESTAMP) - INTERVAL '2' HOUR)
), features AS (
  SELECT
    moments.carrier,
    moments.event_timestamp,
    flights_by_step.flights AS flights_1_day,
    SUM(flights_by_step.flights) OVER last_7_days AS flights_7_day,
    SUM(flights_by_step.late_departures) OVER last_7_days AS late_departures_7_day,
    SUM(flights_by_step.departures) OVER last_7_days AS departures_7_day,
    SUM(flights_by_step.average_departure_delay_sum) OVER last_7_days AS average_departure_delay_sum_7_day,
    SUM(flights_by_step.average_departure_delay_count) OVER last_7_days AS average_departure_delay_count_7_day
  FROM moments
  LEFT JOIN flights_by_step
    ON moments.carrier = flights_by_step.carrier AND moments.event_timestamp = flights_by_step.event_timestamp
  WINDOW last_7_days AS (
    PARTITION BY moments.carrier
    ORDER BY moments.event_timestamp
    RANGE BETWEEN INTERVAL '6' DAY PRECEDING AND CURRENT ROW
  )
)
SELECT
  features.carrier,
  features.event_timestamp + INTERVAL '2' HOUR AS event_timestamp,
  CAST(features.flights_1_day AS BIGINT) AS flights_1d,
  CAST(features.flights_7_day AS BIGINT) AS flights_7d,
  CAST(features.late_departures_7_day / NULLIF(features.departures_7_day, 0) AS DOUBLE) AS late_rate_7d,
  CAST(features.average_departure_delay_sum_7_day / NULLIF(features.average_departure_delay_count_7_day, 0) AS DOUBLE) AS average_departure_delay_7d,
  CAST(carrier.name AS TEXT) AS carrier__name
FROM features
LEFT JOIN gemel.main.airlines AS carrier
  ON features.carrier = carrier.carrier
