SELECT
  carrier.name AS carrier__name,
  AVG(flights.departure_delay) FILTER (WHERE not flights.is_diverted) - AVG(flights.arrival_delay) AS time_made_up
FROM gemel.main.flights
LEFT JOIN gemel.main.airlines AS carrier
  ON flights.carrier = carrier.carrier
GROUP BY
  1
