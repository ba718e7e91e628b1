with flights as (

    select * from {{ ref('stg_flights') }}

),

airports as (

    select * from {{ ref('airports') }}

),

planes as (

    select * from {{ ref('planes') }}

),

departed as (

    select
        flights.*,
        departure_delay is null as is_cancelled,
        -- The source's dep_time equals this on every row, but says nothing of the day.
        scheduled_departure_utc + departure_delay * interval '1 minute' as departed_at_utc
    from flights

),

touched_down as (

    select
        departed.*,
        airports.time_zone as destination_time_zone,
        -- A diverted flight has no air time; no flight here averages ten miles a minute from gate to gate.
        departed_at_utc
            + coalesce(air_time, cast(floor(distance / 10.0) as integer)) * interval '1 minute' as earliest_landing_utc
    from departed
    inner join airports on departed.destination = airports.airport

),

-- The source gives the arrival as a clock time without a day. The landing is the first moment after
-- the time in the air at which the destination's clock shows it.
on_the_clock as (

    select
        touched_down.*,
        timezone(destination_time_zone, timezone('UTC', earliest_landing_utc)) as earliest_landing_at
    from touched_down

),

landed as (

    select
        on_the_clock.*,
        earliest_landing_utc + (
            arrival_clock_minute
            - cast(extract(hour from earliest_landing_at) as integer) * 60
            - cast(extract(minute from earliest_landing_at) as integer)
            + 1440
        ) % 1440 * interval '1 minute' as landed_at_utc
    from on_the_clock

),

final as (

    select
        landed.flight_id,

        landed.carrier,
        landed.flight_number,
        landed.tail_number,
        landed.origin,
        landed.destination,
        landed.origin || '-' || landed.destination as route,
        landed.origin || '-' || replace(left(cast(landed.scheduled_hour_utc as varchar), 13), ' ', 'T')
            as departure_weather_key,

        landed.scheduled_departure_at,
        landed.scheduled_departure_utc,
        landed.departed_at_utc,
        landed.landed_at_utc,
        coalesce(landed.departed_at_utc, landed.scheduled_departure_utc) as outcome_known_at_utc,

        landed.departure_delay,
        landed.arrival_delay,
        landed.air_time,
        landed.distance,
        planes.seats,

        landed.is_cancelled,
        not landed.is_cancelled and landed.arrival_delay is null as is_diverted,
        coalesce(landed.departure_delay > 15, false) as is_late_departure,
        coalesce(landed.arrival_delay > 15, false) as is_late_arrival

    from landed
    left join planes on landed.tail_number = planes.tail_number

)

select * from final
