with airlines as (

    select * from {{ ref('stg_airlines') }}

)

select
    carrier,
    name
from airlines
