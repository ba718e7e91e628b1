with days as (

    select cast(step as date) as date_day
    from generate_series(timestamp '2012-01-01', timestamp '2014-12-31', interval '1 day') as steps (step)

),

season_ends (month_end) as (

    values
        (date '2011-03-31'), (date '2011-10-31'), (date '2012-03-31'), (date '2012-10-31'),
        (date '2013-03-31'), (date '2013-10-31'), (date '2014-03-31'), (date '2014-10-31')

),

seasons (season_start) as (

    -- Airlines plan by IATA season: summer starts on the last Sunday of March, winter on that of October.
    select month_end - cast(extract(dow from month_end) as integer)
    from season_ends

)

select
    days.date_day,
    max(seasons.season_start) as iata_season
from days
inner join seasons on days.date_day >= seasons.season_start
group by days.date_day
