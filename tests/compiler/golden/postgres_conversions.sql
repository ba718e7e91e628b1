WITH flights_by_month AS (
  SELECT
    DATE_TRUNC('MONTH', CAST(flights.landed_at_utc AS TIMESTAMP)) AS metric_time__month,
    COUNT(flights.flight_id) AS landings
  FROM gemel.main.flights
  WHERE
    flights.is_late_arrival
  GROUP BY
    1
), ends AS (
  SELECT
    flights.tail_number AS plane,
    DATE_TRUNC('MINUTE', CAST(flights.departed_at_utc AS TIMESTAMP)) AS happened_at,
    CASE WHEN flights.is_late_departure THEN flights.flight_id END AS late_takeoffs_after
  FROM gemel.main.flights
  WHERE
    flights.tail_number IS NOT NULL
    AND DATE_TRUNC('MINUTE', CAST(flights.departed_at_utc AS TIMESTAMP)) IS NOT NULL
), starts AS (
  SELECT
    flights.tail_number AS plane,
    DATE_TRUNC('MINUTE', CAST(flights.landed_at_utc AS TIMESTAMP)) AS happened_at
  FROM gemel.main.flights
  WHERE
    flights.is_late_arrival
    AND flights.tail_number IS NOT NULL
    AND DATE_TRUNC('MINUTE', CAST(flights.landed_at_utc AS TIMESTAMP)) IS NOT NULL
), flights_by_month_2 AS (
  SELECT
    DATE_TRUNC('MONTH', CAST(starts.happened_at AS TIMESTAMP)) AS metric_time__month,
    COUNT(ends.late_takeoffs_after) AS late_takeoffs_after
  FROM ends
  JOIN (
    SELECT
      starts.*,
      LEAD(starts.happened_at) OVER (PARTITION BY starts.plane ORDER BY starts.happened_at ASC) AS following
    FROM starts
  ) AS starts
    ON ends.plane = starts.plane
    AND ends.happened_at >= starts.happened_at
    AND (
      ends.happened_at < starts.following OR starts.following IS NULL
    )
  WHERE
    starts.happened_at > ends.happened_at - INTERVAL '1 DAY'
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
  FROM flights_by_month
  UNION ALL
  SELECT
    metric_time__month,
    NULL AS landings,
    late_takeoffs_after
  FROM flights_by_month_2
) AS facts
GROUP BY
  1
