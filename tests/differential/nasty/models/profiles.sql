select * from raw.profiles
