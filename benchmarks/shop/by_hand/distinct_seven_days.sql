-- A customer is in for seven days from each order, or until the next one: spans that do not overlap, so that their
-- edges can be summed.
with spans as (
    select
        day as opens,
        least(day + 7, lead(day) over (partition by customer_id order by day)) as closes
    from (select distinct customer_id, ordered_at::date as day from orders where customer_id is not null)
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
