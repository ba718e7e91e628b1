with planes as (

    select * from {{ ref('stg_planes') }}

)

select
    tail_number,
    year_built,
    year_built - year_built % 10 as decade_built,
    aircraft_type,
    manufacturer,
    model,
    engines,
    engine_type,
    seats,
    case
        when seats < 20 then 'light'
        when seats < 100 then 'regional'
        when seats < 200 then 'narrow body'
        else 'large'
    end as size,
    cruising_speed
from planes
