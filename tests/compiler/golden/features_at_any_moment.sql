WITH edges AS (
  SELECT
    requests.__row,
    requests.carrier,
    requests.event_timestamp - INTERVAL '2' HOUR AS event_timestamp,
    0 AS back
  FROM temp.main.requests
  UNION ALL
  SELECT
    requests.__row,
    requests.carrier,
    requests.event_timestamp - INTERVAL '2' HOUR - INTERVAL '7' DAY AS event_timestamp,
    604800 AS back
  FROM temp.main.requests
), known AS (
  SELECT
    flights.carrier,
    DATE_TRUNC('MINUTE', CAST(flights.outcome_known_at_utc AS TIMESTAMP)) + INTERVAL '1' MINUTE AS event_timestamp,
    1 AS flights,
    CASE WHEN flights.is_late_departure THEN 1 ELSE 0 END AS late_departures,
    CASE WHEN flights.departed_at_utc IS NOT NULL THEN 1 ELSE 0 END AS departures,
    flights.departure_delay AS longest_departure_delay
  FROM gemel.main.flights
  WHERE
    flights.carrier IS NOT NULL AND flights.outcome_known_at_utc IS NOT NULL
), running AS (
  SELECT
    known.carrier,
    known.event_timestamp,
    COUNT(known.flights) OVER (PARTITION BY known.carrier ORDER BY known.event_timestamp) AS flights,
    COUNT(known.late_departures) OVER (PARTITION BY known.carrier ORDER BY known.event_timestamp) AS late_departures__seen,
    SUM(known.late_departures) OVER (PARTITION BY known.carrier ORDER BY known.event_timestamp) AS late_departures,
    COUNT(known.departures) OVER (PARTITION BY known.carrier ORDER BY known.event_timestamp) AS departures__seen,
    SUM(known.departures) OVER (PARTITION BY known.carrier ORDER BY known.event_timestamp) AS departures
  FROM known
), sums AS (
  SELECT
    edges.__row,
    MAX(running.flights) FILTER (WHERE edges.back = 0) AS flights_now,
    MAX(running.flights) FILTER (WHERE edges.back = 604800) AS flights_before_7_day,
    MAX(running.late_departures) FILTER (WHERE edges.back = 0) AS late_departures_now,
    MAX(running.late_departures) FILTER (WHERE edges.back = 604800) AS late_departures_before_7_day,
    MAX(running.late_departures__seen) FILTER (WHERE edges.back = 0) AS late_departures__seen_now,
    MAX(running.late_departures__seen) FILTER (WHERE edges.back = 604800) AS late_departures__seen_before_7_day,
    MAX(running.departures) FILTER (WHERE edges.back = 0) AS departures_now,
    MAX(running.departures) FILTER (WHERE edges.back = 604800) AS departures_before_7_day,
    MAX(running.departures__seen) FILTER (WHERE edges.back = 0) AS departures__seen_now,
    MAX(running.departures__seen) FILTER (WHERE edges.back = 604800) AS departures__seen_before_7_day
  FROM edges
  ASOF JOIN running
    ON edges.carrier = running.carrier AND edges.event_timestamp >= running.event_timestamp
  GROUP BY
    1
), stacked AS (
  SELECT
    NULL AS __row,
    known.carrier,
    known.event_timestamp,
    known.longest_departure_delay
  FROM known
  UNION ALL
  SELECT
    requests.__row,
    requests.carrier,
    requests.event_timestamp - INTERVAL '2' HOUR AS event_timestamp,
    NULL AS longest_departure_delay
  FROM temp.main.requests
), gathered AS (
  SELECT
    stacked.__row,
    MAX(stacked.longest_departure_delay) OVER (
      PARTITION BY stacked.carrier
      ORDER BY stacked.event_timestamp
      RANGE BETWEEN (
        INTERVAL '28' DAY - INTERVAL '1' MICROSECOND
      ) PRECEDING AND CURRENT ROW
    ) AS longest_departure_delay_28_day
  FROM stacked
), frames AS (
  SELECT
    gathered.__row,
    gathered.longest_departure_delay_28_day
  FROM gathered
  WHERE
    gathered.__row IS NOT NULL
), features AS (
  SELECT
    requests.__row,
    requests.carrier,
    NULLIF(sums.flights_now - COALESCE(sums.flights_before_7_day, 0), 0) AS flights_7_day,
    NULLIF(sums.flights_now, 0) AS flights_all,
    CASE
      WHEN sums.late_departures__seen_now > COALESCE(sums.late_departures__seen_before_7_day, 0)
      THEN sums.late_departures_now - COALESCE(sums.late_departures_before_7_day, 0)
    END AS late_departures_7_day,
    CASE
      WHEN sums.departures__seen_now > COALESCE(sums.departures__seen_before_7_day, 0)
      THEN sums.departures_now - COALESCE(sums.departures_before_7_day, 0)
    END AS departures_7_day,
    frames.longest_departure_delay_28_day
  FROM temp.main.requests
  LEFT JOIN sums
    ON requests.__row = sums.__row
  LEFT JOIN frames
    ON requests.__row = frames.__row
)
SELECT
  features.__row,
  CAST(features.flights_7_day AS BIGINT) AS flights_7d,
  CAST(features.flights_all AS BIGINT) AS flights_all,
  CAST(features.late_departures_7_day / NULLIF(features.departures_7_day, 0) AS DOUBLE) AS late_rate_7d,
  CAST(features.longest_departure_delay_28_day AS BIGINT) AS longest_departure_delay_28d,
  CAST(carrier.name AS TEXT) AS carrier__name
FROM features
LEFT JOIN gemel.main.airlines AS carrier
  ON features.carrier = carrier.carrier
