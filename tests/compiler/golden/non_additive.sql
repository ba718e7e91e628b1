WITH boundary AS (
  SELECT
    weather.origin,
    DATE_TRUNC('DAY', weather.observed_at) AS metric_time__day,
    MAX(DATE_TRUNC('HOUR', weather.observed_at)) AS last_observed_at
  FROM gemel.main.weather
  GROUP BY
    1, 2
)
SELECT
  DATE_TRUNC('DAY', weather.observed_at) AS metric_time__day,
  AVG(weather.temperature) AS closing_temperature
FROM gemel.main.weather
JOIN boundary
  ON weather.origin = boundary.origin AND DATE_TRUNC('HOUR', weather.observed_at) = boundary.last_observed_at
GROUP BY
  1
