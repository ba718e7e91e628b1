with source as (

    select * from {{ source('nycflights13', 'airlines') }}

)

select
    carrier,
    name
from source
