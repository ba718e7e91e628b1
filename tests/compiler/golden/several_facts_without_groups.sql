WITH flights_facts AS (
  SELECT
    NULLIF(COUNT(*), 0) AS flights
  FROM gemel.main.flights AS flights
), weather_facts AS (
  SELECT
    SUM(weather.precipitation) AS precipitation
  FROM gemel.main.weather AS weather
)
SELECT
  flights_facts.flights,
  weather_facts.precipitation
FROM flights_facts
CROSS JOIN weather_facts
