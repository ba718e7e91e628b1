SELECT
  scheduled_departure__spine.iata_season AS metric_time__iata_season,
  COUNT(*) AS flights
FROM gemel.main.flights
LEFT JOIN gemel.main.time_spine_day AS scheduled_departure__spine
  ON DATE_TRUNC('DAY', flights.scheduled_departure_at) = scheduled_departure__spine.date_day
GROUP BY
  1
