with by_day as (
    select ordered_at::date as day, sum(amount) as revenue from orders group by all
)
select
    day as metric_time__day,
    sum(revenue) over (order by day range between interval 6 days preceding and current row) as revenue_7d
from days
left join by_day using (day)
qualify revenue_7d is not null
