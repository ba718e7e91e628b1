select * from (values
    (1, 1, 1, 1, date '2024-01-02', 'done', 10),
    (2, 1, 1, 2, date '2024-01-02', 'open', 20),
    (3, 2, 2, 2, date '2024-01-04', 'done', 30),
    (4, 3, 2, 1, date '2024-01-05', 'done', 40),
    (5, null, null, 2, date '2024-01-09', 'done', 50)
) as orders(order_id, customer_id, billing_id, shipping_id, ordered_on, status, amount)
