WITH flights_by_step AS (
  SELECT
    flights.origin,
    DATE_TRUNC('HOUR', CAST(flights.outcome_known_at_utc AS TIMESTAMP)) + INTERVAL '1' HOUR AS event_timestamp,
    COUNT(flights.departed_at_utc) AS departures,
    MAX(flights.departure_delay) AS longest_departure_delay,
    SUM(case when not flights.is_cancelled then flights.seats end) AS seats_flown,
    SUM(CASE WHEN flights.departed_at_utc IS NOT NULL THEN 1 ELSE 0 END) FILTER (WHERE plane.seats is not null) AS departures_2
  FROM gemel.main.flights
  LEFT JOIN gemel.main.planes AS plane
    ON flights.tail_number = plane.tail_number
  WHERE
    flights.origin IS NOT NULL
    AND flights.outcome_known_at_utc IS NOT NULL
    AND flights.outcome_known_at_utc < DATE_TRUNC('HOUR', CAST('2014-01-01' AS TIMESTAMP))
  GROUP BY
    1, 2
), moments AS (
  SELECT
    origin,
    UNNEST(GENERATE_SERIES(MIN(event_timestamp), DATE_TRUNC('HOUR', CAST('2014-01-01' AS TIMESTAMP)), INTERVAL '1' HOUR)) AS event_timestamp
  FROM flights_by_step
  GROUP BY
    1
), features AS (
  SELECT
    moments.origin,
    moments.event_timestamp,
    SUM(flights_by_step.departures) OVER last_3_hours AS departures_3_hour,
    MAX(flights_by_step.longest_departure_delay) OVER until_now AS longest_departure_delay_all,
    SUM(flights_by_step.seats_flown) OVER last_day AS seats_flown_1_day,
    SUM(flights_by_step.departures_2) OVER last_day AS departures_2_1_day
  FROM moments
  LEFT JOIN flights_by_step
    ON moments.origin = flights_by_step.origin AND moments.event_timestamp = flights_by_step.event_timestamp
  WINDOW last_3_hours AS (
    PARTITION BY moments.origin
    ORDER BY moments.event_timestamp
    RANGE BETWEEN INTERVAL '2' HOUR PRECEDING AND CURRENT ROW
  ), until_now AS (PARTITION BY moments.origin ORDER BY moments.event_timestamp RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW), last_day AS (
    PARTITION BY moments.origin
    ORDER BY moments.event_timestamp
    RANGE BETWEEN INTERVAL '23' HOUR PRECEDING AND CURRENT ROW
  )
)
SELECT
  features.origin,
  features.event_timestamp,
  features.departures_3_hour AS departures_3h,
  features.longest_departure_delay_all,
  features.seats_flown_1_day / NULLIF(features.departures_2_1_day, 0) AS seats_per_departure_1d
FROM features
