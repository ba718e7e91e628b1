select * from (values
    (1, 1, 1, date '2024-01-03'),
    (2, 1, 2, date '2024-01-03'),
    (3, 1, 2, date '2024-01-06'),
    (4, 2, 1, date '2024-01-08'),
    (5, 9, null, date '2024-01-08')
) as shipments(shipment_id, order_id, line_no, shipped_on)
