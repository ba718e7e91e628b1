"""Exact features: what the facts before each request's own moment come to."""

import dataclasses
import datetime as dt

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.test_moments import ASKED, STEPS, view
from gemel.compiler.features.requests import StoredParts, plan_parts, plan_requests
from gemel.compiler.names.graph import bind
from gemel.compiler.plan import rewrites
from gemel.compiler.sql import dialects, lowering
from gemel.engines.duckdb import DUCKDB
from gemel.errors import GemelError
from gemel.spec.manifest import Relation
from gemel.spec.time import floor, parse_window
from properties.asking import plain
from reference import exact_feature
from trials import examples
from worlds import drawn
from worlds.shop import COLUMNS, GRAPH, flat

REQUESTS = Relation("requests")


def text_of(graph, plan):
    return dialects.speak(lowering.lower(rewrites.tidy(plan), dialects.named()), DUCKDB)


def at(shop, query, *requests, drifting=()):
    """The features of each (customer, moment), in order."""
    shop.connection.execute("create table requests (__row bigint, customer int, event_timestamp timestamp)")
    for row, request in enumerate(requests):
        shop.connection.execute("insert into requests values (?, ?, ?::timestamp)", [row, *request])
    sql = text_of(GRAPH, plan_requests(GRAPH, query, requests=REQUESTS, drifting=drifting))
    rows = sorted(shop.connection.execute(sql).fetchall())
    assert [row[0] for row in rows] == [*range(len(requests))]
    return [row[1:] if len(row) > 2 else row[1] for row in rows]


def test_a_window_ends_at_the_moment_of_the_request_to_the_minute(shop):
    shop.visit(1, "2024-01-02 09:00")
    shop.visit(1, "2024-01-02 10:00")
    asked = [(1, f"2024-01-02 {clock}") for clock in ("09:59", "10:00", "10:59:59", "11:00", "12:00", "13:00")]
    # Visits are known by the hour: one of 9 o'clock may have been at 9:59, so it is known at 10:00.
    assert at(shop, view("visits 2 hours", schedule="hour"), *asked) == [None, 1, 1, 2, 1, None]


def test_a_fact_counts_from_the_day_after_it_where_days_are_all_that_is_known(shop):
    shop.order(1, "2024-01-02 10:00", 7)
    asked = [(1, "2024-01-02 12:00"), (1, "2024-01-03 00:00"), (1, "2024-01-03 23:59"), (1, "2024-01-04 00:00")]
    assert at(shop, view("revenue 1 day"), *asked) == [None, 7, 7, None]


def test_a_delay_is_taken_off_the_moment(shop):
    shop.order(1, "2024-01-02 10:00", 7)
    late = view("revenue 1 day", delay=parse_window("2 hours"))
    assert at(shop, late, (1, "2024-01-03 01:59"), (1, "2024-01-03 02:00")) == [None, 7]


def test_no_facts_are_no_value_and_facts_that_cancel_out_are_zero(shop):
    for day, amount in (("2024-01-01", 5), ("2024-01-10", 5), ("2024-01-10", -5), ("2024-01-20", None)):
        shop.order(1, day, amount)
    asked = [(1, f"2024-01-{day}") for day in ("09", "11", "12", "21")]
    assert at(shop, view("revenue 1 day"), *asked) == [None, 0, None, None]


def test_requests_keep_their_number_whether_alike_unknown_or_without_a_key(shop):
    shop.order(1, "2024-01-01", 5)
    asked = [(1, "2024-02-01"), (None, "2024-02-01"), (9, "2024-02-01"), (1, "2024-02-01"), (1, "2024-01-01")]
    assert at(shop, view("revenue all", "largest all"), *asked) == [
        (5, 5),
        (None, None),
        (None, None),
        (5, 5),
        (None, None),
    ]


def test_a_dimension_is_what_the_key_has_now_with_facts_or_without(shop):
    shop.customer(2, segment="gold")
    assert at(shop, view("orders all", "customer__segment"), (2, "2020-01-01"), (3, "2020-01-01")) == [
        (None, "gold"),
        (None, None),
    ]


def test_a_cumulative_metric_has_a_window_of_its_own(shop):
    shop.order(1, "2024-01-01 10:00")
    asked = [(1, f"2024-01-0{day}") for day in (1, 2, 8, 9)]
    assert at(shop, view("orders_7d"), *asked) == [None, 1, 1, None]


def test_fractions_do_not_drift(shop):
    shop.connection.execute("alter table orders alter amount type double")
    for day, amount in (("2024-01-01", 1e17), ("2024-01-03", 0.1)):
        shop.order(1, day, amount)
    assert at(shop, view("revenue 1 day"), (1, "2024-01-04"), drifting={"revenue"}) == [0.1]


def test_the_types_of_what_is_summed_can_be_asked(shop):
    sql = text_of(GRAPH, plan_parts(GRAPH, view("revenue all", "average_amount 1 day")))
    names = [row[0] for row in shop.connection.execute(f"describe {sql}").fetchall()]
    assert names == ["customer", "event_timestamp", "revenue", "average_amount_sum", "average_amount_count"]


def test_several_windows_take_one_scan_one_sort_and_no_join_of_facts():
    features = ("orders 1 day", "orders 7 days", "revenue 7 days", "done_share all")
    text = flat(text_of(GRAPH, plan_requests(GRAPH, view(*features), requests=REQUESTS)))
    assert (text.count("FROM orders "), text.count("ORDER BY"), text.count("ASOF")) == (1, 1, 0)


@pytest.mark.parametrize("streams", [1, 3])
def test_many_facts_on_several_threads_are_summed_in_their_order(streams):
    with duckdb.connect(config={"threads": 4}) as con:
        con.execute(f"create table orders ({COLUMNS['orders']})")
        con.execute(
            "insert into orders select i, hash(i) % 300, timestamp '2024-01-01' + to_seconds(hash(i + 7) % 8640000), "
            "'done', case when i % 5 > 0 then i % 100 end, null from range(400000) r(i)"
        )
        con.execute(
            "create table requests as select i as __row, (hash(i + 1) % 310)::int as customer, "
            "timestamp '2024-01-01' + to_seconds(hash(i + 9) % 8640000) as event_timestamp from range(100000) r(i)"
        )
        asked = view("orders 3 days", "revenue 3 days", "revenue all")
        sql = text_of(GRAPH, plan_requests(GRAPH, asked, requests=REQUESTS, streams=streams))
        by_hand = """
            with daily as (
              select customer_id, date_trunc('day', ordered_at) + interval 1 day as seen, count(*) as n,
                sum(amount) as amount
              from orders group by all
            )
            select __row, (sum(n) filter (seen > event_timestamp - interval 3 day))::bigint,
              (sum(amount) filter (seen > event_timestamp - interval 3 day))::bigint, sum(amount)::bigint
            from requests left join daily on customer_id = customer and seen <= event_timestamp
            group by __row order by __row
        """
        assert con.execute(f"select * from ({sql}) order by __row").fetchall() == con.execute(by_hand).fetchall()


def test_rows_that_do_not_come_in_order_are_refused_and_not_summed(shop):
    shop.connection.execute(
        "create table requests as select 0 as __row, 1 as customer, now()::timestamp event_timestamp"
    )
    shop.order(1, "2024-01-01")
    sql = text_of(GRAPH, plan_requests(GRAPH, view("orders all"), requests=REQUESTS))
    assert len(shop.connection.execute(sql).fetchall()) == 1
    order = "ORDER BY\n    customer,\n    event_timestamp"
    backwards = sql.replace(order, f"{order} DESC")
    assert backwards != sql
    with pytest.raises(duckdb.Error, match="did not keep the order"):
        shop.connection.execute(backwards).fetchall()


def test_facts_without_a_value_are_counted_apart_unless_there_are_none(shop):
    table = Relation("facts")
    asked = view("orders 1 day", "revenue 1 day")
    full = frozenset({"orders", "revenue"})
    some, none = (
        text_of(GRAPH, plan_requests(GRAPH, asked, requests=REQUESTS, stored=kept))
        for kept in (StoredParts(table), StoredParts(table, full))
    )
    assert "COUNT(ordered.revenue)" in some
    assert "COUNT(" not in none
    assert none.count("OVER (ROWS") == 1


def test_keys_of_other_types_than_the_requests_go_into_one_stream_with_them(shop):
    """A key may be a small integer in the facts, and a large one in the spine."""
    for customer in range(1, 30):
        shop.order(customer, "2024-01-02", customer)
    asked = [(customer, "2024-01-03") for customer in range(1, 30)]
    shop.connection.execute("alter table orders alter customer_id type smallint")
    shop.connection.execute("create table requests (__row bigint, customer hugeint, event_timestamp timestamp)")
    for row, request in enumerate(asked):
        shop.connection.execute("insert into requests values (?, ?, ?::timestamp)", [row, *request])
    sql = text_of(GRAPH, plan_requests(GRAPH, view("revenue 1 day"), requests=REQUESTS, streams=4))
    assert sorted(shop.connection.execute(sql).fetchall()) == [(row, row + 1) for row in range(29)]


@pytest.mark.parametrize(
    ("code", "feature"),
    [
        ("G517", "last_amount 1 day"),
        ("G514", "orders 1 month"),
        ("G556", "buyers 1 day"),
        ("G556", "orders_to_date"),
    ],
)
def test_what_is_no_feature_is_refused_here_too(code, feature):
    with pytest.raises(GemelError) as error:
        plan_requests(GRAPH, view(feature), requests=REQUESTS)
    assert error.value.code == code


# --- against the reference ------------------------------------------------------------------------------------


def by_the_second(manifest):
    """The same definitions, with every fact known to the second."""

    def finer(dimension):
        return dataclasses.replace(dimension, grain="second") if dimension.is_time else dimension

    models = tuple(
        dataclasses.replace(model, dimensions=tuple(map(finer, model.dimensions))) for model in manifest.models
    )
    return dataclasses.replace(manifest, models=models)


MANIFEST = by_the_second(drawn.MANIFEST)
EXACT, BY_GRAIN = bind(MANIFEST), bind(drawn.MANIFEST)
WAREHOUSE = drawn.Warehouse()
MOMENTS = st.builds(
    lambda moment, shift: moment + dt.timedelta(seconds=shift), drawn.moments, st.sampled_from([0, 0, 1, -1, 1800])
)
ASKING = st.lists(st.tuples(st.sampled_from([1, 2, 9, None]), MOMENTS), min_size=1, max_size=8)


@st.composite
def views(draw, names=tuple(ASKED)):
    schedule = draw(st.sampled_from(["day", "hour"]))
    features = st.tuples(st.sampled_from(names), st.sampled_from(STEPS[schedule])).map(" ".join)
    asked = draw(st.lists(features, min_size=1, max_size=3, unique=True))
    of_sales = not any("call" in name or name.startswith(("minutes", "filled_diff")) for name in asked)
    delay = draw(st.sampled_from([None, "2 hours"]))
    known_at = draw(st.sampled_from([None, "sale__paid_at"])) if of_sales else None
    return asked, {"schedule": schedule, "known_at": known_at, "delay": delay and parse_window(delay)}


def kept(database, graph, query):
    """The facts in a table, with which columns of it have no NULL."""
    summed = plan_parts(graph, query)
    if summed is None:
        return None
    database.execute(f"create or replace temp table facts as {text_of(graph, summed)}")
    names = [name for name, *_ in database.execute("describe facts").fetchall()]
    [row] = database.execute(f"select {', '.join(f'count(*) = count({name})' for name in names)} from facts").fetchall()
    full = frozenset(name for name, is_full in zip(names, row, strict=True) if is_full)
    return StoredParts(Relation("facts", schema="main", database="temp"), full)


def answered(graph, query, tables, requests, drifting=(), keep=False, streams=1, whole=None):
    database = WAREHOUSE.holding(tables)
    database.execute("create or replace temp table requests (__row bigint, customer int, event_timestamp timestamp)")
    rows = [(row, *request) for row, request in enumerate(requests)]
    database.executemany("insert into requests values (?, ?, ?)", rows)
    plan = plan_requests(
        graph,
        query,
        requests=Relation("requests", schema="main", database="temp"),
        drifting=drifting,
        stored=kept(database, graph, query) if keep else None,
        streams=streams,
        whole=whole,
    )
    found = sorted(database.execute(text_of(graph, plan)).fetchall())
    assert [row[0] for row in found] == [*range(len(requests))]
    return [tuple(map(plain, row[1:])) for row in found]


def by_definition(query, tables, requests, grain, whole=None):
    for customer, asked in requests:
        moment = floor(asked - (dt.timedelta(hours=2) if query.delay else dt.timedelta()), grain)
        values = [
            exact_feature(
                *(MANIFEST, tables | drawn.SPINE_ROWS, f.metric, "customer", moment, f.window, query.known_at),
                metrics=[f.metric for f in (whole or query).features],
            )
            for f in query.features
        ]
        yield tuple(plain(each.get(customer)) for each in values)


@examples(100)
@given(
    words=views(),
    tables=drawn.worlds,
    requests=ASKING,
    drifting=st.booleans(),
    keep=st.booleans(),
    streams=st.sampled_from([1, 2, 3]),
)
def test_an_exact_feature_is_the_metric_over_the_facts_in_its_window(words, tables, requests, drifting, keep, streams):
    query = view(*words[0], **words[1])
    parts = {"amount", "minutes", "sales"} if drifting else set()
    expected = list(by_definition(query, tables, requests, "second"))
    assert answered(EXACT, query, tables, requests, parts, keep, streams) == expected


FILLED = ("sales_filled", "done_both", "filled_difference", "known_or_zero", "amount_max", "calls_both", "sales")


@examples(100)
@given(
    words=views(names=FILLED),
    tables=drawn.worlds,
    requests=ASKING,
    streams=st.sampled_from([1, 3]),
    part=st.integers(1, 3),
)
def test_a_filled_feature_is_null_without_a_key_and_before_the_first_fact_of_a_key(
    words, tables, requests, streams, part
):
    whole = view(*words[0], **words[1])
    query = dataclasses.replace(whole, features=whole.features[:part])
    expected = list(by_definition(query, tables, requests, "second", whole))
    assert answered(EXACT, query, tables, requests, streams=streams, whole=whole) == expected


@given(words=views(names=("managed_sales", "sales")), tables=drawn.worlds, requests=ASKING)
def test_an_exact_feature_reads_a_history_at_the_metric_s_own_time(words, tables, requests):
    query = view(*words[0], **words[1])
    assert answered(EXACT, query, tables, requests) == list(by_definition(query, tables, requests, "second"))


@examples(100)
@given(words=views(names=("sales", "amount_per_sale", "amount_max")), tables=drawn.worlds, requests=ASKING)
def test_facts_that_are_known_by_the_day_are_those_of_days_that_are_over(words, tables, requests):
    query = dataclasses.replace(view(*words[0], **words[1] | {"schedule": "day"}))
    try:
        found = answered(BY_GRAIN, query, tables, requests)
    except GemelError as error:
        assert error.code == "G515"  # a window of hours on a schedule of days
        return
    assert found == list(by_definition(query, tables, requests, "day"))


@examples(100)
@given(words=views(), tables=drawn.worlds, request=st.tuples(st.sampled_from([1, 2]), MOMENTS))
def test_what_is_known_at_or_after_a_moment_never_changes_a_feature(words, tables, request):
    query = view(*words[0], **words[1])
    clock = "paid_at" if query.known_at else "sold_at"
    moment = request[1] - (dt.timedelta(hours=2) if query.delay else dt.timedelta())
    past = tables | {
        "sales": [row for row in tables["sales"] if row[clock] is not None and row[clock] < moment],
        "calls": [row for row in tables["calls"] if row["called_at"] is not None and row["called_at"] < moment],
    }
    of_paid = any(name.startswith("amount_paid") for name in words[0])
    if not of_paid:  # that one goes by another clock
        assert answered(EXACT, query, tables, [request]) == answered(EXACT, query, past, [request])
