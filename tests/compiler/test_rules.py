"""Tidying keeps what a plan means, and shares the scans that can be shared."""

import pytest

from gemel.compiler.names.resolution import resolve
from gemel.compiler.plan import rewrites
from gemel.compiler.plan.algebra import Aggregate, Combine
from gemel.compiler.plan.planning import plan
from worlds.shop import DONE, GRAPH, flat, question, sql, untidied

QUESTIONS = [
    ("orders revenue", ""),
    ("orders done_orders gold_orders", "order__status"),
    ("done_orders gold_orders", "metric_time"),
    ("done_priced priced done_orders", "customer"),
    ("done_share revenue_per_order", "customer__segment"),
    ("done_share", ""),
    ("orders visits gold_orders", "customer__region__region_name"),
    ("revenue_per_visit done_orders", "customer metric_time__month"),
    ("buyers average_amount largest done_priced", "order__is_large"),
    ("filled_orders orders", "metric_time"),
    ("orders orders_7d revenue_7d", "metric_time"),
    ("growth done_orders", "metric_time customer"),
    ("orders revenue average_amount growth revenue_7d", "metric_time__month"),
    ("priced largest revenue_7d", "metric_time__week customer"),
    ("orders priced revenue_7d", "metric_time metric_time__extract_dow"),
    ("orders growth", "metric_time__extract_dow metric_time__month"),
    ("nested doubled", "customer"),
    ("last_amount orders", "metric_time"),
    ("orders", "metric_time__season"),
]
FILTERS = [
    (),
    ("{{ Dimension('customer__segment') }} = 'gold' or {{ Dimension('order__is_large') }}",),
]


@pytest.fixture
def stocked(shop):
    """Rows that collide: ties, missing keys, orphans, times without a day of the spine."""
    for customer, region, segment in [(1, 1, "gold"), (2, None, "tin"), (3, 9, None)]:
        shop.customer(customer, region, segment)
    shop.connection.execute("insert into regions values (1, 1, 'north'), (2, 1, 'south')")
    for customer, at, amount, status in [
        (1, "2024-01-01 00:00", 10, "done"),
        (1, "2024-01-01 00:00", 10, "done"),
        (1, "2024-01-02 09:00", 45, "open"),
        (2, "2024-01-08 23:00", None, "done"),
        (3, "2024-01-08", -5, None),
        (99, "2024-01-09", 20, "open"),
        (None, "2024-01-09", 20, "done"),
        (2, None, 7, "open"),
    ]:
        shop.order(customer, at, amount, status)
    for customer, at in [(1, "2024-01-02 10:00"), (2, "2024-01-02 10:30"), (None, "2024-01-20")]:
        shop.visit(customer, at)
    return shop


@pytest.mark.parametrize("where", FILTERS, ids=["all", "filtered"])
@pytest.mark.parametrize(("metrics", "group_by"), QUESTIONS)
def test_a_tidied_plan_gives_what_the_plan_gives(stocked, metrics, group_by, where):
    if "visits" in metrics or "visit" in metrics:
        where = tuple(text for text in where if "order__" not in text)
    asked = question(metrics, group_by, where=where)
    assert stocked.ask(metrics, group_by, where=where) == stocked.run(untidied(asked))


@pytest.mark.parametrize(("metrics", "group_by"), QUESTIONS)
def test_of_no_rows_a_tidied_plan_gives_what_the_plan_gives(shop, metrics, group_by):
    assert shop.ask(metrics, group_by) == shop.run(untidied(question(metrics, group_by)))


def tidied(metrics, group_by="", **more):
    return rewrites.tidy(plan(GRAPH, resolve(GRAPH, question(metrics, group_by, **more))))


def test_metrics_of_one_fact_take_one_pass():
    aggregate = tidied("orders revenue done_orders", "customer").input
    assert isinstance(aggregate, Aggregate)
    assert [summary.where is not None for summary in aggregate.values] == [False, False, True]


def test_metrics_of_two_facts_take_a_pass_each():
    combined = tidied("orders revenue visits", "customer").input
    assert isinstance(combined, Combine)
    assert len(combined.inputs) == 2


def test_a_filter_that_all_share_stays_a_filter():
    text = flat(sql("orders revenue", where=[DONE]))
    assert text.count("status = 'done'") == 1
    assert "FILTER" not in text


def test_where_all_are_filtered_differently_no_group_appears_that_none_of_them_has():
    text = flat(sql("done_orders gold_orders", "customer"))
    assert "WHERE orders.status = 'done' OR customer.segment = 'gold' GROUP BY" in text


def test_a_join_that_only_one_metric_needs_loses_no_row_of_the_others(shop):
    shop.customer(1, None, "gold")
    shop.order(1, "2024-01-01")
    shop.order(99, "2024-01-01")
    assert shop.ask("orders gold_orders") == [(2, 1)]


def test_a_months_orders_are_told_from_the_days_that_a_trailing_sum_is_made_of(stocked):
    asked = sql("orders priced largest revenue_7d", "metric_time__month")
    assert asked.count("FROM orders\n") == 1
    text = flat(asked)
    assert "DATE_TRUNC('MONTH', facts.step) AS metric_time__month, CAST(SUM(facts.orders) AS BIGINT) AS orders" in text
    assert [str(type_) for type_ in stocked.connection.sql(asked).types] == [
        *("TIMESTAMP", "BIGINT", "BIGINT", "INTEGER", "HUGEINT")
    ]


@pytest.mark.parametrize(
    "metrics",
    ["average_amount revenue_7d", "buyers revenue_7d", "done_orders revenue_7d"],
    ids=["an average", "a distinct count", "other facts"],
)
def test_what_cannot_be_told_from_days_reads_the_facts_itself(metrics):
    assert sql(metrics, "metric_time__month").count("FROM orders\n") == 2


def test_tidying_what_is_tidy_changes_nothing():
    for metrics, group_by in QUESTIONS:
        once = tidied(metrics, group_by)
        assert rewrites.tidy(once) == once
