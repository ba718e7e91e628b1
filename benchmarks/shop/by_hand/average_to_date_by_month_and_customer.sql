with by_day as (
    select customer_id as customer, ordered_at::date as day, sum(amount) as revenue
    from orders
    group by all
), by_month as (
    select
        customer,
        date_trunc('month', day)::date as month,
        sum(revenue) as revenue,
        sum(revenue * (last_day(day) - day + 1)) as revenue_of_days,
        last_day(min(day)) - min(day) + 1 as days
    from by_day
    group by all
), months as (
    select distinct date_trunc('month', day)::date as month
    from days
), every_month as (
    select customer, months.month
    from (select customer, min(month) as first_month from by_month group by all)
    join months on months.month >= first_month
), with_earlier as (
    select
        every_month.month,
        every_month.customer,
        revenue_of_days,
        days,
        last_day(every_month.month) - every_month.month + 1 as days_of_month,
        sum(revenue) over (
            partition by every_month.customer order by every_month.month
            rows between unbounded preceding and 1 preceding
        ) as earlier
    from every_month
    left join by_month
        on by_month.month = every_month.month and by_month.customer is not distinct from every_month.customer
)
select
    month as metric_time__month,
    customer,
    (coalesce(earlier * days_of_month, 0) + coalesce(revenue_of_days, 0)) / if(earlier is null, days, days_of_month)
        as average_revenue_to_date
from with_earlier
