SELECT
  plane__maker.country AS plane__maker__country,
  SUM(case when not flights.is_cancelled then flights.seats end) AS seats_flown
FROM gemel.main.flights
LEFT JOIN gemel.main.planes AS plane
  ON flights.tail_number = plane.tail_number
LEFT JOIN gemel.main.makers AS plane__maker
  ON plane.manufacturer = plane__maker.manufacturer
GROUP BY
  1
