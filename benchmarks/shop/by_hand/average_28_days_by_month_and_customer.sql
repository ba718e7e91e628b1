with by_day as (
    select customer_id as customer, ordered_at::date as day, sum(amount) as revenue
    from orders
    group by all
), in_months as (
    select *, date_trunc('month', day)::date as month, day as opens, least(day + 28, last_day(day) + 1) as closes
    from by_day
    union all
    select *, date_trunc('month', day + 27)::date, date_trunc('month', day + 27)::date, day + 28
    from by_day
    where date_trunc('month', day) < date_trunc('month', day + 27)
), until_next as (
    select *, lead(opens, 1, closes) over (partition by customer, month order by day) as next_opens
    from in_months
)
select
    month as metric_time__month,
    customer,
    sum(revenue * (closes - opens)) / sum(least(closes, next_opens) - opens) as average_revenue_28d
from until_next
group by all
