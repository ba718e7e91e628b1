select * from (values
    (1, 1, 'gold', date '2023-01-01'),
    (2, 1, 'tin', date '2023-05-01'),
    (3, 2, 'gold', date '2023-06-01'),
    (4, 2, 'tin', date '2023-07-01')
) as customers(customer_id, city_id, segment, joined_on)
