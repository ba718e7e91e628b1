SELECT
  case
    when extract(hour from flights.scheduled_departure_at) < 6 then 'night'
    when extract(hour from flights.scheduled_departure_at) < 12 then 'morning'
    when extract(hour from flights.scheduled_departure_at) < 18 then 'afternoon'
    else 'evening'
  end AS flight__time_of_day,
  AVG(flights.departure_delay) AS average_departure_delay
FROM gemel.main.flights
GROUP BY
  1
