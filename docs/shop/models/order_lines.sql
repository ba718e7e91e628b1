select * from (values
    (1, 1, 'pen', 2, date '2024-01-02'),
    (1, 2, 'ink', 1, date '2024-01-02'),
    (2, 1, 'ink', 3, date '2024-01-02'),
    (3, 1, 'pen', 1, date '2024-01-04')
) as order_lines(order_id, line_no, product, quantity, ordered_on)
