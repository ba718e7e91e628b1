select * from raw.regions
