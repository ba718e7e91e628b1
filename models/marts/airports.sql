with airports as (

    select * from {{ ref('stg_airports') }}

)

select
    airport,
    name,
    latitude,
    longitude,
    altitude,
    time_zone,
    is_added
from airports
