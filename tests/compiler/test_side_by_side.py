"""A metric beside itself under a filter, and a time constraint on the time spine: for every type of metric."""

import pytest
from sqlglot import exp, parse_one

from gemel.compiler.compiled import compile_query
from gemel.spec.metrics import Conversion, Cumulative, Derived, Metric
from gemel.spec.time import Window
from worlds.shop import AVERAGE, BUYERS, DONE, LAST_AMOUNT, ORDERS, flat, of, over, question, with_metrics

WEEK, BEFORE = Window(7, "day"), Window(1, "day")


def derived(name, *filters, **offset):
    return Metric(name, Derived("2 * o", (of("orders", "o", **offset),)), filters)


def pair(name, definition):
    """A metric and, as `done_<name>`, the same under a filter."""
    return Metric(name, definition), Metric(f"done_{name}", definition, (DONE,))


GRAPH = with_metrics(
    over(BUYERS, "done_buyers", DONE),
    over(AVERAGE, "done_average_amount", DONE),
    over(LAST_AMOUNT, "done_last_amount", DONE),
    over(ORDERS, "spread", join_to_timespine=True),
    over(ORDERS, "done_spread", DONE, join_to_timespine=True),
    over(ORDERS, "done_filled_orders", DONE, fill_nulls_with=0, join_to_timespine=True),
    derived("twice"),
    derived("done_twice", DONE),
    derived("yesterday", offset_window=BEFORE),
    derived("done_yesterday", DONE, offset_window=BEFORE),
    derived("at_start", offset_to_grain="month"),
    derived("done_at_start", DONE, offset_to_grain="month"),
    *pair("week", Cumulative(of("orders"), WEEK)),
    *pair("month", Cumulative(of("orders"), grain_to_date="month")),
    *pair("ever", Cumulative(of("orders"))),
    *pair("buyers_week", Cumulative(of("buyers"), WEEK)),
    Metric("followed", Conversion(of("visits"), of("orders"), "customer", window=WEEK)),
    Metric("done_followed", Conversion(of("visits"), of("orders", None, DONE), "customer", window=WEEK)),
)
ONE_SCAN = ["orders", "buyers", "average_amount", "twice", "spread", "filled_orders", "yesterday", "at_start"]
TYPES = [*ONE_SCAN, "last_amount", "week", "month", "ever", "buyers_week", "followed"]
SPAN = {"start": "2024-01-03", "end": "2024-01-10"}


def sql(metrics, group_by="metric_time", **more):
    return compile_query(GRAPH, question(metrics, group_by, **more)).sql


@pytest.fixture
def stocked(shop):
    for customer, at, amount, status in [
        (1, "2024-01-01", 10, "done"),
        (1, "2024-01-02 09:00", 45, "open"),
        (2, "2024-01-02", 5, "open"),
        (2, "2024-01-04", None, "done"),
        (None, "2024-01-04", 20, "done"),
        (3, "2024-01-09", -5, None),
    ]:
        shop.order(customer, at, amount, status)
    for customer, at in [(1, "2024-01-01 10:00"), (2, "2024-01-03 10:30"), (3, "2024-01-20")]:
        shop.visit(customer, at)
    return shop


@pytest.mark.parametrize("group_by", ["metric_time", "metric_time customer", "metric_time__month"])
@pytest.mark.parametrize("name", TYPES)
def test_with_and_without_a_filter_each_says_what_it_says_alone(stocked, name, group_by):
    keys = len(group_by.split())
    together = stocked.run(sql(f"{name} done_{name}", group_by, **SPAN))
    for place, metric in enumerate((name, f"done_{name}"), start=keys):
        alone = {row[:-1]: row[-1] for row in stocked.run(sql(metric, group_by, **SPAN))}
        shown = {row[:keys]: row[place] for row in together}
        absent = 0 if name == "filled_orders" else None
        assert {key: value for key, value in shown.items() if value != absent} == {
            key: value for key, value in alone.items() if value != absent
        }
        assert alone.keys() <= shown.keys()


@pytest.mark.parametrize("name", ONE_SCAN)
def test_with_and_without_a_filter_take_one_pass_over_the_facts(name):
    tree = parse_one(sql(f"{name} done_{name}", **SPAN), dialect="duckdb")
    assert [table.name for table in tree.find_all(exp.Table)].count("orders") == 1


def test_shown_by_the_spine_they_take_one_join_too():
    assert flat(sql("filled_orders done_filled_orders", **SPAN)) == flat("""
        WITH spine AS (
          SELECT DATE_TRUNC('DAY', spine."day") AS metric_time__day
          FROM days AS spine
          WHERE spine."day" >= CAST('2024-01-03' AS DATE) AND spine."day" < CAST('2024-01-11' AS DATE)
        ), orders_by_day AS (
          SELECT
            CAST(orders.ordered_at AS DATE) AS metric_time__day,
            COUNT(*) AS filled_orders,
            NULLIF(COUNT(*) FILTER (WHERE orders.status = 'done'), 0) AS done_filled_orders
          FROM orders
          WHERE orders.ordered_at >= CAST('2024-01-03' AS DATE) AND orders.ordered_at < CAST('2024-01-11' AS DATE)
          GROUP BY 1
        )
        SELECT
          spine.metric_time__day,
          COALESCE(facts.filled_orders, 0) AS filled_orders,
          COALESCE(facts.done_filled_orders, 0) AS done_filled_orders
        FROM spine LEFT JOIN orders_by_day AS facts ON spine.metric_time__day = facts.metric_time__day
    """)


@pytest.mark.parametrize("name", [name for name in TYPES if "days" in sql(name, **SPAN)])
def test_the_spine_is_read_within_the_time_constraint(name):
    tree = parse_one(sql(name, **SPAN), dialect="duckdb")
    readers = [table.find_ancestor(exp.Select) for table in tree.find_all(exp.Table) if table.name == "days"]
    assert readers
    for reader in readers:
        bounds = reader.args["where"].find_all(exp.GTE, exp.LT)
        days = {bound.expression.this.name for bound in bounds if bound.this.name == "day"}
        assert days == {"2024-01-03", "2024-01-11"}


@pytest.mark.parametrize("name", TYPES)
def test_a_time_constraint_cuts_what_is_shown_and_not_what_is_seen(stocked, name):
    every = {row[:-1]: row[-1] for row in stocked.run(sql(name))}
    inside = {day: value for day, value in every.items() if day[0] and "2024-01-03" <= day[0] <= "2024-01-10"}
    assert {row[:-1]: row[-1] for row in stocked.run(sql(name, **SPAN))} == inside
