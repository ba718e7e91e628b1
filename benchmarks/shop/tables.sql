-- Two years of a shop: {facts} orders and as many visits, stored in the order in which they happened.
-- Everything follows from a row's number, so that every run has the same rows.

create temp macro dice(number, throw, sides) as (hash(number, throw) % sides)::bigint;

create temp macro moment(number) as
    timestamp '2023-01-01' + to_microseconds((number * 63072000000000::hugeint // {facts})::bigint);

create table regions as
select range as region_id, 'region ' || range as name
from range(20);

create table customers as
select
    range as customer_id,
    dice(range, 'region', 20) as region_id,
    ['gold', 'silver', 'tin', null][1 + dice(range, 'segment', 4)] as segment
from range({customers});

create table orders as
select
    range as order_id,
    -- One in a thousand belongs to nobody, one in a hundred to a customer that is gone.
    if(dice(range, 'nobody', 1000) = 0, null, dice(range, 'customer', {customers} * 101 // 100)) as customer_id,
    moment(range) as ordered_at,
    (dice(range, 'amount', 20000) / 100)::decimal(12, 2) as amount,
    ['done', 'done', 'done', 'open', 'returned'][1 + dice(range, 'status', 5)] as status,
    ['web', 'app', 'shop'][1 + dice(range, 'channel', 3)] as channel
from range({facts});

create table visits as
select
    range as visit_id,
    if(dice(range, 'stranger', 100) = 0, null, dice(range, 'visitor', {customers})) as customer_id,
    moment(range) as visited_at,
    ['search', 'mail', 'ads', 'direct'][1 + dice(range, 'source', 4)] as source
from range({facts});

create table days as
select date '2022-01-01' + range::integer as day
from range(1461);
