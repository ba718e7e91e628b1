-- A direct flight taxies for minutes, not hours; a diverted one is on its way again within the day.
select *
from {{ ref('flights') }}
where
    landed_at_utc <= departed_at_utc
    or landed_at_utc > departed_at_utc + interval '24 hours'
    or (air_time is not null and landed_at_utc not between
        departed_at_utc + air_time * interval '1 minute'
        and departed_at_utc + (air_time + 240) * interval '1 minute')
