select
    date_trunc('month', ordered_at) as metric_time__month,
    segment as customer__segment,
    sum(amount) as revenue
from orders
left join customers using (customer_id)
group by all
