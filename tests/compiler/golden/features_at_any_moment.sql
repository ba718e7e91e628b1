WITH known AS (
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
), timeline AS (
  SELECT
    NULL AS __row,
    known.carrier,
    known.event_timestamp,
    0 AS __end,
    known.late_departures,
    known.departures
  FROM known
  UNION ALL
  SELECT
    requests.__row,
    requests.carrier,
    requests.event_timestamp - INTERVAL '2' HOUR AS event_timestamp,
    1 AS __end,
    NULL AS late_departures,
    NULL AS departures
  FROM temp.main.requests
  UNION ALL
  SELECT
    requests.__row,
    requests.carrier,
    requests.event_timestamp - INTERVAL '2' HOUR - INTERVAL '7' DAY AS event_timestamp,
    2 AS __end,
    NULL AS late_departures,
    NULL AS departures
  FROM temp.main.requests
  UNION ALL
  SELECT
    requests.__row,
    requests.carrier,
    CAST('-infinity' AS TIMESTAMP) AS event_timestamp,
    3 AS __end,
    NULL AS late_departures,
    NULL AS departures
  FROM temp.main.requests
), ordered AS (
  SELECT
    __row,
    carrier,
    event_timestamp,
    __end,
    late_departures,
    departures
  FROM timeline
  ORDER BY
    carrier,
    event_timestamp,
    __end
), running AS (
  SELECT
    ordered.__row,
    ordered.__end,
    COUNT(ordered.late_departures) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS late_departures__seen,
    SUM(ordered.late_departures) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS late_departures,
    COUNT(ordered.departures) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS departures__seen,
    SUM(ordered.departures) OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS departures,
    ROW_NUMBER() OVER () AS __place,
    LAG(ordered.carrier) OVER () > ordered.carrier
    OR (
      LAG(ordered.carrier) OVER () = ordered.carrier
      AND (
        LAG(ordered.event_timestamp) OVER () > ordered.event_timestamp
        OR (
          LAG(ordered.event_timestamp) OVER () = ordered.event_timestamp AND LAG(ordered.__end) OVER () > ordered.__end
        )
      )
    ) AS is_astray
  FROM ordered
), ends AS (
  SELECT
    running.__row,
    running.__end,
    running.late_departures,
    running.late_departures__seen,
    running.departures,
    running.departures__seen,
    running.__place - ROW_NUMBER() OVER () AS __facts,
    LAG(running.__place) OVER () > running.__place AS is_astray
  FROM running
  WHERE
    CASE
      WHEN running.is_astray
      THEN ERROR('gemel: DuckDB did not keep the order of rows, for which its setting preserve_insertion_order must be true')
      ELSE running.__row IS NOT NULL
    END
), sums AS (
  SELECT
    ends.__row,
    MAX(ends.__facts) FILTER (WHERE ends.__end = 1) AS __facts_now,
    MAX(ends.__facts) FILTER (WHERE ends.__end = 2) AS __facts_604800_seconds_before,
    MAX(ends.__facts) FILTER (WHERE ends.__end = 3) AS __facts_ever,
    MAX(ends.late_departures) FILTER (WHERE ends.__end = 1) AS late_departures_now,
    MAX(ends.late_departures) FILTER (WHERE ends.__end = 2) AS late_departures_604800_seconds_before,
    MAX(ends.late_departures__seen) FILTER (WHERE ends.__end = 1) AS late_departures__seen_now,
    MAX(ends.late_departures__seen) FILTER (WHERE ends.__end = 2) AS late_departures__seen_604800_seconds_before,
    MAX(ends.departures) FILTER (WHERE ends.__end = 1) AS departures_now,
    MAX(ends.departures) FILTER (WHERE ends.__end = 2) AS departures_604800_seconds_before,
    MAX(ends.departures__seen) FILTER (WHERE ends.__end = 1) AS departures__seen_now,
    MAX(ends.departures__seen) FILTER (WHERE ends.__end = 2) AS departures__seen_604800_seconds_before
  FROM ends
  WHERE
    CASE
      WHEN ends.is_astray
      THEN ERROR('gemel: DuckDB did not keep the order of rows, for which its setting preserve_insertion_order must be true')
      ELSE TRUE
    END
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
    NULLIF(sums.__facts_now - COALESCE(sums.__facts_604800_seconds_before, 0), 0) AS flights_7_day,
    NULLIF(sums.__facts_now - COALESCE(sums.__facts_ever, 0), 0) AS flights_all,
    CASE
      WHEN sums.late_departures__seen_now > COALESCE(sums.late_departures__seen_604800_seconds_before, 0)
      THEN sums.late_departures_now - COALESCE(sums.late_departures_604800_seconds_before, 0)
    END AS late_departures_7_day,
    CASE
      WHEN sums.departures__seen_now > COALESCE(sums.departures__seen_604800_seconds_before, 0)
      THEN sums.departures_now - COALESCE(sums.departures_604800_seconds_before, 0)
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
