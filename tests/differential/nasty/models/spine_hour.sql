select * from raw.spine_hour
