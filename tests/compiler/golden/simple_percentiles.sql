SELECT
  flights.carrier,
  QUANTILE_CONT(flights.departure_delay, 0.9) AS p90_departure_delay,
  QUANTILE_DISC(flights.arrival_delay, 0.95) AS p95_arrival_delay
FROM gemel.main.flights
GROUP BY
  1
