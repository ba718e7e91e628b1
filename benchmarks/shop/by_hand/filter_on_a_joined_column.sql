select
    date_trunc('month', ordered_at) as metric_time__month,
    sum(amount) as revenue
from orders
join customers using (customer_id)
where segment = 'gold'
group by all
