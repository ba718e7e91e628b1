select
    date_trunc('week', ordered_at) as metric_time__week,
    count(distinct customer_id) as buyers
from orders
group by all
