with seen as (
    select source, count(*) as visits from visits group by all
), converted as (
    select visit.source, count(*) as orders
    from (select customer_id, ordered_at::date as day from orders) as bought
    asof join (
        -- Visits of one customer and day are one; the smallest source stands for it.
        select customer_id, visited_at::date as day, min(source) as source from visits group by all
    ) as visit
        on bought.customer_id = visit.customer_id and bought.day >= visit.day
    where visit.day > bought.day - 7
    group by all
)
select
    source as visit__source,
    orders / visits as conversion_rate
from seen
left join converted using (source)
