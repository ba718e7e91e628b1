"""Features: metrics of an entity at the moments of a schedule, from the facts before each."""

import dataclasses
import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemel.compiler.features.moments import cast_features, plan_features
from gemel.compiler.names.graph import bind
from gemel.compiler.plan import rewrites
from gemel.compiler.sql import dialects, lowering
from gemel.engines.duckdb import DUCKDB
from gemel.errors import GemelError
from gemel.spec.feature_views import DimensionFeature, FeatureView, MetricFeature
from gemel.spec.manifest import Entity, Relation
from gemel.spec.metrics import Conversion, Cumulative, Metric, Ratio
from gemel.spec.time import Window, parse_window
from properties.asking import plain
from reference import entities_seen, feature
from trials import examples
from worlds import drawn
from worlds.shop import GRAPH, flat, moment, of, with_metrics

DAY = Window(1, "day")


def view(*features, schedule="day", entities=("customer",), **more):
    """Features as `"orders 2 days"`, `"orders all"`, or a dimension's name."""
    return FeatureView("shown", entities, schedule, tuple(map(made, features)), **more)


def planned(view, graph=GRAPH, *, until="2024-02-01"):
    return plan_features(graph, view, until=moment(until))


def made(text):
    name, _, window = text.partition(" ")
    if "__" in name:
        return DimensionFeature(name, name)
    if not window:
        return MetricFeature(name, name, None, own=True)
    return MetricFeature(text.replace(" ", "_"), name, None if window == "all" else parse_window(window))


def text_of(plan):
    return flat(dialects.speak(lowering.lower(rewrites.tidy(plan), dialects.named()), DUCKDB))


def test_a_fact_at_midnight_is_first_seen_a_day_later(shop):
    shop.order(1, "2024-01-02 00:00")
    shop.order(2, "2024-01-01 23:59")
    assert shop.features(view("orders 1 day")) == [
        (1, "2024-01-03", 1),
        (1, "2024-01-04", None),
        (2, "2024-01-02", 1),
        (2, "2024-01-03", None),
    ]


def test_a_fact_leaves_a_window_when_it_is_as_old_as_the_window(shop):
    shop.order(1, "2024-01-01 00:00", 10)
    shop.order(1, "2024-01-03 12:00", 5)
    assert shop.features(view("revenue 3 days"), until="2024-01-05") == [
        (1, "2024-01-02", 10),
        (1, "2024-01-04", 15),  # [Jan 1, Jan 4) holds the midnight of Jan 1
        (1, "2024-01-05", 5),
    ]


def test_rows_stand_only_where_a_value_changes_or_at_every_step(shop):
    shop.order(1, "2024-01-01 12:00")
    changes = [(1, "2024-01-02", 1), (1, "2024-01-05", None)]
    assert shop.features(view("orders 3 days"), until="2024-01-06") == changes
    assert shop.features(view("orders 3 days", ttl=DAY), until="2024-01-06") == [
        (1, "2024-01-02", 1),
        (1, "2024-01-03", 1),
        (1, "2024-01-04", 1),
        (1, "2024-01-05", None),
        (1, "2024-01-06", None),
    ]


def test_all_time_never_forgets(shop):
    shop.order(1, "2024-01-01", 10)
    shop.order(1, "2024-01-20", 5)
    assert shop.features(view("revenue all")) == [(1, "2024-01-02", 10), (1, "2024-01-21", 15)]


def test_nothing_after_the_end_is_seen_nor_a_step_that_is_not_over(shop):
    shop.order(1, "2024-01-01 10:00")
    shop.order(1, "2024-01-02 10:00")
    for until in ("2024-01-02 00:00", "2024-01-02 11:00", "2024-01-02 23:59"):
        assert shop.features(view("orders all"), until=until) == [(1, "2024-01-02", 1)]


def test_a_fact_without_an_entity_or_a_time_is_nobodys(shop):
    shop.order(None, "2024-01-01")
    shop.order(1, None)
    assert shop.features(view("orders all")) == []


def test_an_entity_that_is_in_no_other_table_has_features_too(shop):
    shop.customer(2, segment="gold")
    shop.order(99, "2024-01-01")
    assert shop.features(view("orders all", "customer__segment")) == [(99, "2024-01-02", 1, None)]


def test_a_delay_moves_the_moment_and_not_the_content(shop):
    shop.order(1, "2024-01-01 12:00")
    late = view("orders 1 day", delay=parse_window("2 hours"))
    assert shop.features(late) == [(1, "2024-01-02 02:00", 1), (1, "2024-01-03 02:00", None)]


def test_with_a_delay_the_last_step_is_there_only_once_the_delay_has_passed(shop):
    shop.order(1, "2024-01-01 12:00")
    late = {"delay": parse_window("2 hours")}
    assert shop.features(view("orders all", **late), until="2024-01-02 01:59") == []
    assert shop.features(view("orders all", **late), until="2024-01-02 02:00") == [(1, "2024-01-02 02:00", 1)]


def test_facts_count_from_when_they_are_known(shop):
    shop.order(1, "2024-01-01 12:00")
    shop.connection.execute("update orders set paid_at = '2024-01-08 09:00'")
    assert shop.features(view("orders all", known_at="order__paid_at")) == [(1, "2024-01-09", 1)]


def test_an_average_is_put_together_from_sums_and_counts(shop):
    for at, amount in [("2024-01-01", 10), ("2024-01-01", 20), ("2024-01-02", 60), ("2024-01-02", None)]:
        shop.order(1, at, amount)
    assert shop.features(view("average_amount 2 days"), until="2024-01-03") == [
        (1, "2024-01-02", 15.0),
        (1, "2024-01-03", 30.0),
    ]


def test_a_ratio_is_of_its_windows_sums_and_its_sides_can_be_had(shop):
    shop.order(1, "2024-01-01", status="done")
    shop.order(1, "2024-01-01", status="open")
    shop.order(1, "2024-01-02", status="open")
    features = [made("done_share all")]
    for side in ("numerator", "denominator"):
        features.append(MetricFeature(side, "done_share", None, part=side))
    assert shop.features(FeatureView("shown", ("customer",), "day", tuple(features))) == [
        (1, "2024-01-02", 0.5, 1, 2),
        (1, "2024-01-03", 1 / 3, 1, 3),
    ]


def test_features_of_an_hourly_schedule_change_by_the_hour(shop):
    shop.visit(1, "2024-01-01 09:00")
    shop.visit(1, "2024-01-01 09:59")
    shop.visit(1, "2024-01-01 10:00")
    assert shop.features(view("visits 1 hour", schedule="hour")) == [
        (1, "2024-01-01 10:00", 2),
        (1, "2024-01-01 11:00", 1),
        (1, "2024-01-01 12:00", None),
    ]


def test_facts_of_two_models_meet_at_common_moments(shop):
    shop.order(1, "2024-01-01")
    shop.visit(1, "2024-01-02 10:00")
    assert shop.features(view("orders all", "visits all")) == [(1, "2024-01-02", 1, None), (1, "2024-01-03", 1, 1)]


def test_several_entities_make_one_key(shop):
    shop.order(1, "2024-01-01")
    shop.order(1, "2024-01-01")
    query = view("orders all", entities=("customer", "order"))
    assert shop.features(query) == [(1, 0, "2024-01-02", 1), (1, 1, "2024-01-02", 1)]


BOUGHT = with_metrics(
    Metric("bought", Conversion(of("visits"), of("orders"), "customer", "conversions", window=Window(7, "day"))),
    Metric("bought_rate", Conversion(of("visits"), of("orders"), "customer", window=Window(7, "day"))),
    Metric("spent", Conversion(of("visits"), of("revenue"), "customer", "conversions")),
    Metric("priced_after", Conversion(of("visits"), of("priced"), "customer", "conversions")),
)


def test_a_conversion_counts_from_when_it_happens_until_its_base_event_leaves(shop):
    shop.visit(1, "2024-01-01 10:00")
    shop.visit(1, "2024-01-05 10:00")
    shop.order(1, "2024-01-03 10:00")
    assert shop.features(view("bought 4 days", "bought_rate 4 days", "bought all"), BOUGHT, until="2024-01-12") == [
        (1, "2024-01-02", None, None, None),
        (1, "2024-01-04", 1, 1.0, 1),
        (1, "2024-01-06", None, None, 1),  # the visit of Jan 1 has left, and its order with it
        (1, "2024-01-10", None, None, 1),
    ]


def test_a_conversion_that_comes_after_its_base_event_has_left_is_never_seen(shop):
    shop.visit(1, "2024-01-01 10:00")
    shop.order(1, "2024-01-04 10:00")
    assert [row[2:] for row in shop.features(view("bought 2 days"), BOUGHT, until="2024-01-12")] == [(None,)] * 3


def test_a_conversion_without_a_price_is_one_of_which_no_price_is_counted(shop):
    shop.visit(1, "2024-01-01 10:00")
    shop.order(1, "2024-01-02 10:00", None)
    rows = shop.features(view("priced_after all"), BOUGHT)
    assert rows == [(1, "2024-01-02", None), (1, "2024-01-03", 0)]


@pytest.mark.parametrize(
    ("feature", "known_at", "expected"),
    [
        ("spent 1 day", None, "the conversions of measure 'revenue' (sum of amount) cannot be a feature yet"),
        ("bought 1 day", "order__paid_at", "a conversion uses the events' own times"),
    ],
)
def test_conversions_that_are_no_features(feature, known_at, expected):
    with pytest.raises(GemelError) as error:
        planned(view(feature, known_at=known_at), BOUGHT)
    assert expected in str(error.value) or error.value.code == "G516"


def test_an_entity_is_reached_over_others(shop):
    shop.customer(1, region=5)
    shop.customer(2, region=5)
    shop.customer(3, region=None)
    shop.connection.execute("insert into regions values (5, 7, 'north')")
    for customer in (1, 2, 3, 4):
        shop.order(customer, "2024-01-01")
    shop.visit(1, "2024-01-02 10:00")
    query = view("orders all", "visits all", "region__region_name", entities=("region",))
    assert shop.features(query) == [(5, "2024-01-02", 2, None, "north"), (5, "2024-01-03", 2, 1, "north")]
    assert shop.features(view("orders all", entities=("country",))) == [(7, "2024-01-02", 2)]


def test_several_windows_take_one_scan():
    text = text_of(planned(view("orders 1 day", "orders 7 days", "revenue 7 days", "done_share all")))
    assert text.count("FROM orders ") == 1


def test_a_type_is_cast_to():
    text = text_of(cast_features(planned(view("orders all")), {"orders_all": "bigint"}))
    assert "AS BIGINT) AS orders_all" in text


@pytest.mark.parametrize(
    ("code", "query"),
    [
        ("G511", view("customer__segment")),
        ("G512", view("orders 1 day", schedule="month")),
        ("G514", view("orders 1 month")),
        ("G514", view("orders 1 season")),
        ("G515", view("orders 36 hours")),
        ("G515", view("orders 0 days")),
        ("G516", view("orders 1 day", known_at="order__status")),
        ("G516", view("orders 1 day", known_at="order__nothing")),
        ("G517", view("last_amount 1 day")),
        ("G514", view("orders_of_season")),
        ("G570", view("orders")),
        ("G517", view("orders_7d 1 day")),
        ("G517", view("growth 1 day")),
        ("G518", view("orders 1 day", "order__status")),
        ("G518", view("orders 1 day", "customer__nothing")),
        ("G305", view("visits 1 day", entities=("order",))),
    ],
)
def test_what_has_no_meaning_as_a_feature_is_refused(code, query):
    with pytest.raises(GemelError) as error:
        planned(query)
    assert error.value.code == code


def test_a_side_of_what_is_no_ratio_is_refused():
    wrong = MetricFeature("n", "orders", None, part="numerator")
    with pytest.raises(GemelError, match="G513"):
        planned(FeatureView("shown", ("customer",), "day", (wrong,)))


def test_an_entity_that_is_reached_in_two_ways_is_refused():
    found = [model for model in GRAPH.manifest.models if model.name == "visits"]
    [visits] = [dataclasses.replace(each, name="again", relation=Relation("again")) for each in found]
    entities = (Entity("visit", "primary", "visit_id"), Entity("region", "foreign", "region_id"))
    more = [
        dataclasses.replace(each, entities=(*each.entities, Entity("visit", "foreign", "visit_id")))
        if each.name == "orders"
        else each
        for each in GRAPH.manifest.models
    ]
    graph = bind(dataclasses.replace(GRAPH.manifest, models=(*more, dataclasses.replace(visits, entities=entities))))
    with pytest.raises(GemelError, match=r"G571 .* in 2 ways: orders -> "):
        planned(view("orders all", entities=("region",)), graph)


def test_month_long_windows_are_refused_with_a_count_of_days():
    with pytest.raises(GemelError) as error:
        planned(view("orders 2 months"))
    assert error.value.hint == "count it in days, such as 60 days"


WORLD = bind(drawn.MANIFEST)
WAREHOUSE = drawn.Warehouse()
ASKED = [
    "sales", "amount", "amount_average", "amount_max", "amount_min", "amounts_known", "large_sales",
    "amount_paid", "done_sales", "gold_amount", "amount_per_sale", "done_share", "sales_and_calls", "nested",
    "calls", "minutes", "sales_per_call", "managed_sales",
]  # fmt: skip
HOLISTIC = ["buyers", "amount_median", "amount_p80", "callers"]
CONVERSIONS = ["call_to_sale_rate", "call_to_sale", "call_to_done"]
OWN = {
    "day": [
        "sales_ever",
        "sales_7d",
        "sales_mtd",
        "sales_wtd_last",
        "buyers_7d",
        "buyers_ever",
        "buyers_mtd",
        "done_mtd",
    ],
    "hour": ["callers_1d", "callers_dtd", "calls_6h", "sales_mtd", "done_7d"],
}
STEPS = {"day": ["1 day", "3 days", "1 week", "all"], "hour": ["1 hour", "5 hours", "1 day", "all"]}


@st.composite
def views(draw):
    """The words of a `view`; hypothesis would print the value at length."""
    schedule = draw(st.sampled_from(["day", "hour"]))
    # Calls and sales are compared by the day, and no schedule is finer than what its facts are known by.
    names = [*ASKED, *HOLISTIC, *(CONVERSIONS if schedule == "day" else ())]
    features = st.tuples(st.sampled_from(names), st.sampled_from(STEPS[schedule])).map(" ".join)
    features |= st.sampled_from(OWN[schedule])
    asked = draw(st.lists(features, min_size=1, max_size=3, unique=True))
    of_sales = not any(name.startswith(("calls", "minutes")) or "call" in name for name in asked)
    entity = draw(st.sampled_from(["customer", "shop", "region"] if of_sales else ["customer", "region"]))
    if entity == "shop" and draw(st.booleans()):
        asked.append("shop__manager")
    return asked, {
        "entities": (entity,),
        "schedule": schedule,
        "until": draw(st.sampled_from(["2024-03-02 00:00", "2024-03-05 09:30", "2024-04-20 00:00"])),
        "known_at": draw(st.sampled_from([None, "sale__paid_at"])) if of_sales else None,
        "ttl": DAY if draw(st.booleans()) and schedule == "day" else None,
    }


@examples(100)
@given(words=views(), tables=drawn.worlds)
def test_the_newest_row_at_any_moment_is_the_metric_over_the_window_before_it(words, tables):
    assert_newest(words, tables)


@given(words=views(), tables=drawn.worlds)
def test_the_same_holds_where_no_window_frame_is_as_long_as_an_interval(words, tables):
    assert_newest(words, tables, ranges=False)


MANAGED = "{{ Dimension('shop__manager') }} = 'ann'"
HISTORIC = dataclasses.replace(
    drawn.MANIFEST,
    models=tuple(
        dataclasses.replace(model, entities=(*model.entities, Entity("keeper", "foreign", "manager")))
        if model.name == "shops"
        else model
        for model in drawn.MANIFEST.models
    ),
    metrics=(
        *drawn.MANIFEST.metrics,
        drawn.simple(drawn.amount("amount"), "managed_amount", MANAGED),
        drawn.simple(drawn.amount("buyers", "count_distinct", "customer_id"), "managed_buyers", MANAGED),
        Metric("managed_share", Ratio(drawn.used("sales", "managed", MANAGED), drawn.used("sales", "everything"))),
        Metric("managed_7d", Cumulative(drawn.used("sales"), Window(7, "day")), (MANAGED,)),
    ),
)
"""The drawn world, in which the manager of a shop, who has a history, is an entity too."""
HISTORIC_WORLD = bind(HISTORIC)


def test_a_sale_that_is_known_later_stays_with_the_manager_who_sold_it():
    moments = [dt.datetime(2024, 3, day) for day in (1, 4)]
    sale = {"sale_id": 0, "customer_id": 1, "shop_id": 1, "sold_at": moments[0], "paid_at": moments[1]}
    since = [moments[0].date(), dt.date(2024, 3, 3), None]
    managers = [
        {"shop_id": 1, "valid_from": since[place], "valid_to": since[place + 1], "manager": name}
        for place, name in enumerate(["ann", "bob"])
    ]
    database = WAREHOUSE.holding({"sales": [sale | {"status": "done", "amount": 7}], "shops": managers})
    asked = view("managed_amount all", "amount all", entities=("keeper",), known_at="sale__paid_at")
    rows = database.execute(text_of(planned(asked, HISTORIC_WORLD, until="2024-03-10"))).fetchall()
    assert rows == [("ann", dt.datetime(2024, 3, 5), 7, 7)]


def open_sale(day):
    return {
        "sale_id": 0,
        "customer_id": 1,
        "shop_id": 1,
        "sold_at": dt.datetime.fromisoformat(day),
        "paid_at": None,
        "status": "open",
        "amount": 7,
    }


def managed_by(*names):
    """Each for two days, from March 1 on."""
    since = [dt.date(2024, 3, 1 + 2 * place) for place in range(len(names))]
    return [
        {"shop_id": 1, "valid_from": first, "valid_to": end, "manager": name}
        for name, first, end in zip(names, since, [*since[1:], None], strict=True)
    ]


@pytest.mark.parametrize("ttl", [None, DAY])
def test_a_history_has_rows_from_the_first_fact_on_even_if_no_fact_passes_the_filter_of_a_metric(ttl):
    tables = {"sales": [open_sale("2024-03-02 09:00")], "shops": managed_by("ann", "bob")}
    database = WAREHOUSE.holding(tables)
    asked = view("done_sales 1 day", "shop__manager", entities=("shop",), ttl=ttl)
    rows = database.execute(text_of(planned(asked, WORLD, until="2024-03-04 12:00"))).fetchall()
    days = {day: dt.datetime(2024, 3, day) for day in (3, 4)}
    assert sorted(rows) == [(1, days[3], None, "ann"), (1, days[4], None, "bob")]
    without = view("done_sales 1 day", entities=("shop",), ttl=ttl)
    assert database.execute(text_of(planned(without, WORLD, until="2024-03-04 12:00"))).fetchall() == []


def test_the_sql_of_a_history_reads_the_first_facts_only_if_no_metric_sees_all_facts():
    first_facts = flat("""
        since AS (
          SELECT
            sales.shop_id AS shop,
            MIN(DATE_TRUNC('DAY', CAST(sales.sold_at AS TIMESTAMP)) + INTERVAL '1' DAY) AS first_moment
          FROM main.sales
          WHERE
            sales.shop_id IS NOT NULL
            AND sales.sold_at IS NOT NULL
            AND sales.sold_at < DATE_TRUNC('DAY', CAST('2024-02-01' AS TIMESTAMP))
          GROUP BY 1
        )
    """)
    of_some = text_of(planned(view("done_sales all", "shop__manager", entities=("shop",)), WORLD))
    assert first_facts in of_some
    assert "SELECT since.shop, since.first_moment AS event_timestamp FROM since" in of_some
    of_all = text_of(planned(view("done_sales all", "sales all", "shop__manager", entities=("shop",)), WORLD))
    assert "since AS ( SELECT facts.shop, MIN(facts.event_timestamp) AS first_moment FROM sales_by_step" in of_all


@st.composite
def historic_views(draw):
    names = ["managed_sales", "managed_amount", "managed_buyers", "managed_share", "sales", "amount_max", "buyers"]
    windows = st.sampled_from(STEPS["day"])
    features = st.tuples(st.sampled_from(names), windows).map(" ".join) | st.just("managed_7d")
    return draw(st.lists(features, min_size=1, max_size=3, unique=True)), {
        "entities": (draw(st.sampled_from(["customer", "shop", "keeper"])),),
        "schedule": "day",
        "until": "2024-04-20 00:00",
        "known_at": draw(st.sampled_from(["sale__paid_at", "sale__paid_at", None])),
    }


@examples(60)
@given(words=historic_views(), tables=drawn.worlds)
def test_a_history_is_read_at_the_metric_s_own_time_whenever_its_facts_become_known(words, tables):
    assert_newest(words, tables, graph=HISTORIC_WORLD, manifest=HISTORIC)


def assert_newest(words, tables, *, ranges=True, graph=WORLD, warehouse=WAREHOUSE, dialect="duckdb", manifest=None):
    until = words[1]["until"]
    query = view(*words[0], **{name: word for name, word in words[1].items() if name != "until"})
    (entity,) = query.entities
    plan = rewrites.tidy(planned(query, graph, until=until))
    select = lowering.lower(plan, dialects.named(), ranges=ranges)
    rows = warehouse.holding(tables).execute(dialects.speak(select, dialects.engine_of(dialect))).fetchall()
    found = {(row[0], row[1]): tuple(map(plain, row[2:])) for row in rows}
    assert len(found) == len(rows)
    holders = ("customers",) if entity == "region" else ("sales", "calls")
    keys = {row[f"{entity}_id"] for name in holders for row in tables[name] if f"{entity}_id" in row} - {None}
    if entity == "keeper":
        keys = {row["manager"] for row in tables["shops"]} - {None}
    assert {key[0] for key in found} <= keys
    for at in steps(until, query.schedule):
        expected = [as_it_was(f, tables, entity, at, query.known_at, manifest) for f in query.features]
        present = began(query, tables, entity, at, manifest)
        for key in keys:
            newest = max((known[1] for known in found if known[0] == key and known[1] <= at), default=None)
            if newest is None:
                assert not any(each.get(key) for each, f in zip(expected, query.features, strict=True) if is_metric(f))
                assert key not in present
            else:
                assert found[key, newest] == tuple(plain(each.get(key)) for each in expected), (key, at)


def began(query, tables, entity, at, manifest):
    """The entities that must have a row by then: those with a fact, if a dimension has a history."""
    if all(map(is_metric, query.features)):
        return set()
    metrics = [each.metric for each in query.features if is_metric(each)]
    rows, path = tables | drawn.SPINE_ROWS, PATHS.get(entity, entity)
    return entities_seen(manifest or drawn.MANIFEST, rows, metrics, path, at, query.known_at)


def is_metric(asked):
    return isinstance(asked, MetricFeature)


PATHS = {"region": "customer__region", "keeper": "shop__keeper"}
"""How the facts reach an entity that they do not have themselves."""


def as_it_was(asked, tables, entity, at, known_at, manifest=None):
    """By entity, a feature at a moment: of a history, the version of just before it."""
    if is_metric(asked):
        rows, path = tables | drawn.SPINE_ROWS, PATHS.get(entity, entity)
        return feature(manifest or drawn.MANIFEST, rows, asked.metric, path, at, asked.window, known_at)
    # Of a day that is known as a day nothing counts before it is over.
    day = at.date() - dt.timedelta(days=1)
    return {
        row["shop_id"]: row["manager"]
        for row in tables["shops"]
        if row["valid_from"] <= day and (row["valid_to"] is None or day < row["valid_to"])
    }


def steps(until, schedule):
    """Moments at which something may have happened, up to the last that is over."""
    end = dt.datetime.fromisoformat(until)
    step = dt.timedelta(days=1) if schedule == "day" else dt.timedelta(hours=7)
    first = dt.datetime(2024, 2, 26)
    return [first + step * n for n in range(min(50, (end - first) // step + 1))]
