select
    date_trunc('month', ordered_at) as metric_time__month,
    sum(amount) as revenue,
    sum(amount) filter (channel = 'web') as web_revenue,
    nullif(count(*) filter (status = 'returned'), 0) as returned_orders,
    nullif(count(*) filter (amount >= 150), 0) as big_orders
from orders
group by all
