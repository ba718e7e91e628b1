with by_day as (
    select ordered_at::date as day, sum(amount) as revenue from orders group by all
), both_weeks as (
    select coalesce(now.day, ago.day + 7) as day, now.revenue as now, ago.revenue as ago
    from by_day as now
    full join by_day as ago on now.day = ago.day + 7
)
select
    day as metric_time__day,
    (now - ago) * 1.0 / nullif(ago, 0) as revenue_growth
from both_weeks
