select *
from {{ ref('weather') }}
where
    temperature not between -20 and 110
    or humidity not between 0 and 100
    or wind_speed not between 0 and 100
    or visibility not between 0 and 10
    or precipitation < 0
