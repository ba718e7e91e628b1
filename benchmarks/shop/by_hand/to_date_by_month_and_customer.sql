with by_month as (
    select customer_id as customer, date_trunc('month', ordered_at)::date as month, sum(amount) as revenue
    from orders
    group by all
), months as (
    select distinct date_trunc('month', day)::date as month
    from days
), every_month as (
    select customer, months.month
    from (select customer, min(month) as first_month from by_month group by all)
    join months on months.month >= first_month
)
select
    every_month.month as metric_time__month,
    every_month.customer,
    sum(revenue) over (partition by every_month.customer order by every_month.month) as revenue_to_date
from every_month
left join by_month
    on by_month.month = every_month.month and by_month.customer is not distinct from every_month.customer
