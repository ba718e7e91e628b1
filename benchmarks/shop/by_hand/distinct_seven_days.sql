-- A customer is in for seven days from each order, or until the next one: spans that do not overlap, so that their
-- edges can be summed. A second order on one day opens an empty span.
with spans as (
    select
        ordered_at::date as opens,
        least(
            ordered_at::date + 7,
            lead(ordered_at::date) over (partition by customer_id order by ordered_at::date)
        ) as closes
    from orders
    where customer_id is not null
), edges as (
    select opens as moment, count(*) as change from spans group by all
    union all
    select closes as moment, -count(*) as change from spans group by all
)
select
    day as metric_time__day,
    sum(change) as buyers_7d
from days
join edges on moment <= day
group by all
having sum(change) > 0
