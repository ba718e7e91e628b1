with days as (

    select unnest(generate_series(date '2012-01-01', date '2014-12-31', interval 1 day))::date as date_day

),

seasons as (

    -- Airlines plan by IATA season: summer starts on the last Sunday of March, winter on that of October.
    select
        starts - dayofweek(starts)::integer as season_start
    from (
        select unnest([make_date(y, 3, 31), make_date(y, 10, 31)]) as starts
        from (select unnest(generate_series(2011, 2014)) as y)
    )

)

select
    days.date_day,
    seasons.season_start as iata_season
from days
asof join seasons on days.date_day >= seasons.season_start
