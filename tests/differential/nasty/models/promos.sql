select * from raw.promos
