with bought as (
    select date_trunc('month', ordered_at) as month, count(*) as orders from orders group by all
), seen as (
    select date_trunc('month', visited_at) as month, count(*) as visits from visits group by all
)
select
    month as metric_time__month,
    orders / visits as orders_per_visit
from bought
full join seen using (month)
