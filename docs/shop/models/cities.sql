select * from (values (1, 1, 'Milan'), (2, 1, 'Turin'), (3, 2, 'Oslo')) as cities(city_id, country_id, city_name)
