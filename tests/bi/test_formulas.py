"""Metrics as plain SQL over a wide view: whatever the rows are, and however they are grouped, the query's number."""

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from gemel.bi.formulas import Formula, NoFormula, formula_of, formulas_of
from gemel.bi.wide import plan_wide, widen
from gemel.compiler.compiled import compile_query
from gemel.compiler.names.graph import bind
from gemel.compiler.question.parsing import make_query
from gemel.compiler.sql import dialects, lowering
from gemel.engines.duckdb import DUCKDB
from gemel.errors import UnknownNameError
from gemel.spec.manifest import Dimension, Entity, Manifest
from gemel.spec.metrics import Conversion, Derived, Measure, Metric, Ratio
from gemel.spec.time import Window
from trials import examples
from worlds.shop import BUYERS, GRAPH, ORDERS, REVENUE, Shop, model, of, over, time, with_metrics

DONE = "{{ Dimension('order__status') }} = 'done'"
NORTH = "{{ Dimension('customer__region__region_name') }} = 'north'"
LATE = "{{ TimeDimension('metric_time', 'month') }} >= '2024-02-01'"

MIDDLE = Measure("middle", "orders", "count_distinct", "amount", "ordered_at")
MORE = (
    over(BUYERS, "northern_buyers", NORTH),
    over(REVENUE, "filled_revenue", DONE, fill_nulls_with=0),
    over(REVENUE, "late_revenue", LATE),
    over(MIDDLE, "done_amounts", DONE),
    Metric("north_share", Ratio(of("revenue", "top", NORTH), of("filled_revenue", "bottom", LATE)), (DONE,)),
    Metric("plus_nothing", Derived("coalesce(done, 0) + orders", (of("orders"), of("done_orders", "done")))),
)
WITH_MORE = with_metrics(*MORE)

GROUPINGS = [
    (),
    ("order__status",),
    ("customer__segment",),
    ("customer__region__region_name", "order__status"),
    ("metric_time__day",),
    ("metric_time__month", "customer"),
]


@cache
def orders_with_more():
    return view(WITH_MORE, "orders")


def view(graph, name):
    return dialects.speak(lowering.lower(plan_wide(graph, widen(graph, name)), dialects.named()), DUCKDB)


def formula_text(metric, graph=GRAPH):
    formula = formula_of(graph, metric)
    return dialects.say(formula.expression, "duckdb") if isinstance(formula, Formula) else formula.reason


def ask_both(shop, metric, group_by):
    """The rows of the query, and those of the formula over the view, without its empty groups."""
    question, over_view = both(metric, group_by)
    queried = {row[:-1]: row[-1] for row in shop.run(question)}
    viewed = {row[:-1]: row[-1] for row in shop.run(over_view)}
    # A group without a row after the filter is not in the query, and NULL (or its fill) in the view.
    nothing = 0 if metric == "filled_revenue" else None
    return queried, {keys: value for keys, value in viewed.items() if keys in queried or value != nothing}


@cache
def both(metric, group_by):
    formula = formula_of(WITH_MORE, metric)
    keys = [key(formula, item) for item in group_by]
    shown = [exp.alias_(each, name, quoted=True) for each, name in zip(keys, group_by, strict=True)]
    select = exp.select(*shown, exp.alias_(formula.expression, "value")).from_("shown")
    select = select.group_by(*keys) if keys else select
    over_view = f"WITH shown AS ({orders_with_more()}) {dialects.speak(select, DUCKDB)}"
    return compile_query(WITH_MORE, make_query([metric], list(group_by))).sql, over_view


def key(formula, item):
    if not item.startswith("metric_time"):
        return exp.column(item)
    time = exp.column(f"order__{formula.time.name}")
    return exp.TimestampTrunc(this=time, unit=exp.var(item.rpartition("__")[2].upper()))


ROWS = st.lists(
    st.tuples(
        st.sampled_from([1, 2, 3, None]),
        st.sampled_from(["2024-01-01 10:00", "2024-01-02", "2024-02-01 00:00", None]),
        st.sampled_from([10, 20, -5, None]),
        st.sampled_from(["done", "open", None]),
    ),
    max_size=12,
)


@examples(20)
@given(rows=ROWS, grouping=st.sampled_from(GROUPINGS))
def test_a_formula_over_the_view_is_the_query_whatever_the_rows(rows, grouping):
    shop = Shop()
    shop.customer(1, 1, "gold")
    shop.customer(2, 2, None)  # customer 3 is an orphan
    shop.connection.execute("insert into regions values (1, 1, 'north'), (2, 9, 'south')")
    for row in rows:
        shop.order(*row)
    formulas = [each for each in formulas_of(WITH_MORE, "orders").metrics if isinstance(each, Formula)]
    assert len(formulas) >= 16
    for formula in formulas:
        if not rows and formula.metric.name == "done_amounts":
            continue  # over no rows at all it is 0 in a query, and NULL in a view
        queried, viewed = ask_both(shop, formula.metric.name, grouping)
        if not grouping and formula.metric.name in ("done_amounts", "northern_buyers"):
            queried = {keys: value or None for keys, value in queried.items()}
            viewed = {keys: value or None for keys, value in viewed.items()}
        assert viewed == pytest.approx(queried), formula.metric.name


def test_a_ratio_is_a_sum_by_a_sum():
    assert formula_text("revenue_per_order") == "SUM(revenue) / NULLIF(SUM(orders), 0)"


def test_filtered_values_are_a_column_with_the_name_of_the_metric():
    assert formula_text("done_orders") == "SUM(done_orders)"
    assert "CASE WHEN orders.status = 'done' THEN 1 END AS done_orders" in view(GRAPH, "orders")


def test_one_filter_said_in_two_metrics_is_one_column():
    assert formula_text("done_share") == "SUM(done_orders) / NULLIF(SUM(orders), 0)"


def test_a_count_is_a_sum_of_ones_so_that_of_no_rows_it_is_nothing():
    assert formula_text("orders") == "SUM(orders)"
    assert "CASE WHEN orders.amount IS NOT NULL THEN 1 ELSE 0 END AS priced" in view(GRAPH, "orders")


def test_a_filtered_distinct_count_is_null_in_a_group_without_rows():
    text = formula_text("northern_buyers", WITH_MORE)
    assert text == "CASE WHEN COUNT(northern_buyers__rows) > 0 THEN COUNT(DISTINCT northern_buyers) END"


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        ("orders_7d", "orders_7d accumulates over 7 days, and a group has only its own rows"),
        ("orders_to_date", "orders_to_date accumulates over the month to date, and a group has only its own rows"),
        ("growth", "growth looks at orders at another time (1 day)"),
        ("last_amount", "last_amount counts only the rows at one end of ordered_at"),
        ("filled_orders", "filled_orders is shown for times without rows, too"),
        ("revenue_per_visit", "revenue_per_visit combines facts of several semantic models: orders, visits"),
    ],
)
def test_a_metric_that_is_not_an_aggregate_of_the_rows_of_a_group_has_a_reason(metric, reason):
    assert formula_text(metric) == reason


def test_a_metric_over_one_without_formula_has_none_either():
    metric = Metric("twice", Derived("2 * orders_7d", (of("orders_7d"),)))
    assert formula_text("twice", with_metrics(metric)).startswith("orders_7d accumulates over 7 days")


def test_a_conversion_has_no_formula():
    conversion = Conversion(of("visits"), of("orders"), "customer", window=Window(7, "day"))
    graph = with_metrics(Metric("bought", conversion))
    assert formula_text("bought", graph) == "bought matches events with later ones, which are in other rows"


def test_a_filter_by_a_metric_has_no_formula():
    graph = with_metrics(over(REVENUE, "of_many", "{{ Metric('orders', ['customer']) }} > 2"))
    assert formula_text("of_many", graph) == "it is filtered by metric orders, which is computed over all rows"


def test_a_value_for_groups_without_facts_has_no_formula():
    graph = with_metrics(Metric("padded", Derived("coalesce(done, 0)", (of("done_orders", "done"),))))
    assert "no column shows which groups those are" in formula_text("padded", graph)


def test_facts_under_two_times_have_no_formula():
    paid = Measure("paid", "orders", "count", "paid_at", "paid_at")
    graph = with_metrics(over(paid, "paid"), Metric("paid_share", Ratio(of("paid"), of("orders"))))
    assert formula_text("paid", graph) == "SUM(paid)"
    assert formula_of(graph, "paid").time.name == "paid_at"
    assert formula_text("paid_share", graph) == "paid_share combines facts with different times: paid_at, ordered_at"


def test_a_metric_that_looks_histories_up_by_another_time_than_the_view_has_no_formula():
    history = model(
        "customers",
        {"customer": "natural"},
        Dimension("segment", "segment"),
        time("valid_from", validity="start"),
        time("valid_to", validity="end"),
    )
    orders = model(
        "orders",
        {"order": "primary", "customer": "foreign"},
        time("ordered_at"),
        time("paid_at"),
        clock="ordered_at",
    )
    paid = Measure("paid", "orders", "count", "paid_at", "paid_at")
    graph = bind(Manifest((orders, history), (over(ORDERS, "orders"), over(paid, "paid"))))
    assert formula_text("orders", graph) == "SUM(orders)"
    assert formula_text("paid", graph) == "paid looks up histories by paid_at, but the view by ordered_at"
    assert "orders.ordered_at) >= DATE_TRUNC('DAY', customer.valid_from)" in view(graph, "orders")


@pytest.mark.parametrize(
    ("metric", "formula"),
    [
        (over(REVENUE, "revenue", DONE), "SUM(revenue)"),
        (
            Metric("revenue", Ratio(of("gross", "top"), of("orders", "bottom"))),
            "SUM(revenue__measure) / NULLIF(SUM(orders), 0)",
        ),
    ],
)
def test_a_column_with_the_name_of_a_metric_is_that_metric_and_not_a_measure(metric, formula):
    graph = bind(
        replace(
            GRAPH.manifest,
            metrics=(
                metric,
                over(REVENUE, "gross"),
                *(each for each in GRAPH.manifest.metrics if each.name == "orders"),
            ),
        )
    )
    assert formula_text("gross", graph) == "SUM(revenue__measure)"
    assert formula in formula_text("revenue", graph)
    assert "orders.amount AS revenue__measure" in view(graph, "orders")


def test_a_column_to_aggregate_does_not_take_the_name_of_a_dimension():
    measure = Measure("customer", "orders", "sum", "amount", "ordered_at")
    assert formula_text("spent", with_metrics(over(measure, "spent"))) == "SUM(customer_2)"


def test_a_key_of_two_columns_is_two_columns():
    lines = model("lines", {"order": "foreign"}, time("ordered_at"), clock="ordered_at")
    lines = replace(lines, entities=(*lines.entities, Entity("line", "primary", "(order_id, no)")))
    graph = bind(Manifest((lines,), (over(Measure("lines", "lines", "count", "1", "ordered_at"), "lines"),)))
    assert [each.name for each in widen(graph, "lines").columns][:3] == ["order", "line__order_id", "line__no"]


def test_tables_further_away_than_the_hops_are_omitted():
    names = [each.name for each in widen(GRAPH, "orders", hops=1).columns]
    assert "customer__segment" in names and "customer__region__region_name" not in names


def test_a_model_without_a_time_has_no_columns_with_a_history():
    history = model(
        "customers",
        {"customer": "natural"},
        Dimension("segment", "segment"),
        time("valid_from", validity="start"),
        time("valid_to", validity="end"),
    )
    cards = model("cards", {"card": "primary", "customer": "foreign"}, Dimension("colour", "colour"))
    wide = widen(bind(Manifest((cards, history), ())), "cards")
    assert [each.name for each in wide.columns] == ["card", "customer", "card__colour"]
    assert "customer__segment" in wide.lost


def test_an_unknown_metric_is_refused():
    with pytest.raises(UnknownNameError, match="G201"):
        formula_of(GRAPH, "revenu")


def test_the_metrics_of_the_worked_example_that_have_formulas(example):
    formulas = formulas_of(example, "flights")
    assert [each.metric.name for each in formulas.metrics if isinstance(each, NoFormula)] == [
        "cancelled_flights_per_inch",
        "departures_7d",
        "diverted_flights",
        "flights_3h",
        "flights_7d",
        "flights_month_to_date",
        "flights_to_date",
        "flights_vs_month_start",
        "flights_wow_growth",
        "knock_on_departures",
        "knock_on_rate",
        "late_departures_7d",
        "late_rate_7d",
        "planes_in_use_28d",
    ]
    assert dialects.say(formulas.of("late_rate").expression, "duckdb") == (
        "SUM(late_departures) / NULLIF(SUM(departures), 0)"
    )


def test_the_columns_do_not_depend_on_the_order_in_which_dbt_wrote_the_metrics():
    manifest = WITH_MORE.manifest
    backwards = bind(replace(manifest, metrics=tuple(reversed(manifest.metrics))))
    for name in ("orders", "visits"):
        assert formulas_of(backwards, name) == formulas_of(WITH_MORE, name)
