SELECT DISTINCT
  airlines.name AS carrier__name
FROM gemel.main.airlines
