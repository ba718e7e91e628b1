WITH flights_by_month AS (
  SELECT
    DATE_TRUNC('MONTH', flights.landed_at_utc) AS metric_time__month,
    COUNT(flights.flight_id) AS landings
  FROM gemel.main.flights
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
    DATE_TRUNC('MINUTE', flights.landed_at_utc) AS happened_at
  FROM gemel.main.flights
  WHERE
    flights.is_late_arrival
    AND flights.tail_number IS NOT NULL
    AND DATE_TRUNC('MINUTE', flights.landed_at_utc) IS NOT NULL
), flights_by_month_2 AS (
  SELECT
    DATE_TRUNC('MONTH', starts.happened_at) AS metric_time__month,
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
