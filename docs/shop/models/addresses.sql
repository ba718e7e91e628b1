select * from (values (1, 1, 'Rome Street'), (2, 3, 'Oslo Road')) as addresses(address_id, city_id, street)
