select * from raw.stores
