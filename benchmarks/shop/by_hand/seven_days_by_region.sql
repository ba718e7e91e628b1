with by_day as (
    select ordered_at::date as day, regions.name, sum(amount) as revenue
    from orders
    left join customers using (customer_id)
    left join regions using (region_id)
    group by all
), every_day as (
    select days.day, names.name, revenue
    from days
    cross join (select distinct name from by_day) as names
    left join by_day on by_day.day = days.day and by_day.name is not distinct from names.name
)
select
    day as metric_time__day,
    name as customer__region__name,
    sum(revenue) over (
        partition by name order by day range between interval 6 days preceding and current row
    ) as revenue_7d
from every_day
qualify revenue_7d is not null
