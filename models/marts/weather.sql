with weather as (

    select * from {{ ref('stg_weather') }}

)

select
    origin || '-' || replace(left(cast(observed_at_utc as varchar), 13), ' ', 'T') as weather_key,
    origin,
    observed_at,
    observed_at_utc,
    -- A reading is taken somewhere within its hour.
    observed_at_utc + interval '1 hour' as known_at_utc,

    temperature,
    dew_point,
    humidity,
    wind_direction,
    wind_speed,
    wind_gust,
    precipitation,
    pressure,
    visibility,

    precipitation > 0 as is_raining,
    temperature <= 32 as is_freezing,
    case
        when visibility < 1 then 'under 1 mile'
        when visibility < 3 then '1 to 3 miles'
        when visibility < 10 then '3 to 10 miles'
        else '10 miles'
    end as visibility_band
from weather
