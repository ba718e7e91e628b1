-- A direct flight taxies for minutes, not hours; a diverted one is on its way again within the day.
select *
from {{ ref('flights') }}
where
    landed_at_utc <= departed_at_utc
    or landed_at_utc > departed_at_utc + interval 24 hour
    or (air_time is not null and landed_at_utc not between
        departed_at_utc + to_minutes(air_time)
        and departed_at_utc + to_minutes(air_time + 240))
