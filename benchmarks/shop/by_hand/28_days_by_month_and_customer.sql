with by_day as (
    select customer_id as customer, ordered_at::date as day, sum(amount) as revenue
    from orders
    group by all
), in_months as (
    select *, date_trunc('month', day)::date as month from by_day
    union all
    select *, date_trunc('month', day + 27)::date from by_day
    where date_trunc('month', day) < date_trunc('month', day + 27)
), with_last_day as (
    select *, max(least(day + 27, last_day(month))) over (partition by customer, month) as last_day
    from in_months
)
select month as metric_time__month, customer, sum(revenue) as revenue_28d
from with_last_day
where day <= last_day and day > last_day - 28
group by all
