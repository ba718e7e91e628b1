with by_day as (
    select ordered_at::date as day, sum(amount) as revenue from orders group by all
)
select
    day as metric_time__day,
    sum(revenue) over (partition by date_trunc('month', day) order by day) as revenue_month_to_date
from days
left join by_day using (day)
qualify revenue_month_to_date is not null
