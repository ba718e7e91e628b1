SELECT
  CASE
    WHEN EXTRACT(HOUR FROM flights.scheduled_departure_at) < 6
    THEN 'night'
    WHEN EXTRACT(HOUR FROM flights.scheduled_departure_at) < 12
    THEN 'morning'
    WHEN EXTRACT(HOUR FROM flights.scheduled_departure_at) < 18
    THEN 'afternoon'
    ELSE 'evening'
  END AS flight__time_of_day,
  AVG(flights.departure_delay) AS average_departure_delay
FROM gemel.main.flights
GROUP BY
  1
