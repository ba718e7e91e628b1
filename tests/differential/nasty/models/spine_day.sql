select * from raw.spine_day
