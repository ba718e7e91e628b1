with seen as (
    select date_trunc('month', visited_at) as month, count(*) as visits from visits where source = 'mail' group by all
), converted as (
    select date_trunc('month', visit.day) as month, count(*) as orders
    from (select customer_id, ordered_at::date as day from orders) as bought
    asof join (select customer_id, visited_at::date as day from visits where source = 'mail') as visit
        on bought.customer_id = visit.customer_id and bought.day >= visit.day
    where visit.day > bought.day - 7
    group by all
)
select
    month as metric_time__month,
    orders / visits as conversion_rate
from seen
left join converted using (month)
