SELECT
  carrier.name AS carrier__name,
  DATE_TRUNC('MONTH', flights.scheduled_departure_at) AS metric_time__month,
  SUM(CASE WHEN flights.is_late_departure THEN 1 ELSE 0 END) / NULLIF(COUNT(flights.departed_at_utc), 0) AS late_rate
FROM gemel.main.flights
LEFT JOIN gemel.main.airlines AS carrier
  ON flights.carrier = carrier.carrier
GROUP BY
  1, 2
