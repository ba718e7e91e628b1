WITH flights_result AS (
  SELECT
    NULLIF(COUNT(*), 0) AS flights
  FROM gemel.main.flights
), weather_result AS (
  SELECT
    SUM(weather.precipitation) AS precipitation
  FROM gemel.main.weather
)
SELECT
  flights_result.flights,
  weather_result.precipitation
FROM flights_result
CROSS JOIN weather_result
