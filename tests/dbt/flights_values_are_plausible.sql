select *
from {{ ref('flights') }}
where
    departure_delay not between -60 and 1440
    or arrival_delay not between -120 and 1440
    or air_time not between 15 and 720
    or distance not between 1 and 5000
    or seats not between 1 and 500
    or extract(year from scheduled_departure_at) != 2013
