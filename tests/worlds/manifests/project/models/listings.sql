select 1 as listing_id
