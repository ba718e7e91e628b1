select * from (values (1, 'Italy'), (2, 'Norway')) as countries(country_id, country_name)
