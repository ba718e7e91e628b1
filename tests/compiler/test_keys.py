"""Group-by items as keys: grains, spans of time, orders."""

import datetime as dt
from dataclasses import replace

import pytest

from gemel.compiler.names.graph import Attribute
from gemel.compiler.names.keys import apply_key, make_keys, make_orders, make_span
from gemel.compiler.names.terms import Key
from gemel.compiler.question.language.asked import ask_result_filter
from gemel.compiler.question.parsing import parse_item, parse_order
from gemel.errors import QueryError
from gemel.spec.manifest import Dimension
from gemel.spec.metrics import Metric
from worlds.shop import GRAPH, question, with_metrics


def keys(items, metrics="orders", graph=GRAPH):
    asked = [graph.metric(name) for name in metrics.split()]
    return make_keys(graph, [parse_item(item) for item in items.split()], asked)


def names(*args, **more):
    return [key.name for key in keys(*args, **more)]


def test_metric_time_without_a_grain_takes_the_coarsest_of_the_metrics_and_at_least_a_day():
    assert names("metric_time", "orders") == ["metric_time__day"]
    assert names("metric_time", "visits") == ["metric_time__day"]
    assert names("metric_time", "orders visits") == ["metric_time__day"]


def test_a_metric_may_state_its_own_grain():
    monthly = Metric("monthly", GRAPH.metric("orders").definition, time_granularity="month")
    assert names("metric_time", "orders monthly", graph=with_metrics(monthly)) == ["metric_time__month"]


def test_another_time_without_a_grain_is_taken_at_its_own():
    assert names("order__paid_at") == ["order__paid_at__day"]
    assert names("visit__visited_at", "visits") == ["visit__visited_at__hour"]


def test_a_key_is_named_by_its_grain_or_date_part_however_it_was_spelled():
    assert names("metric_time__month TimeDimension('metric_time','month')") == ["metric_time__month"]
    assert names("metric_time__extract_dow metric_time__season") == ["metric_time__extract_dow", "metric_time__season"]


def test_what_is_known_by_month_has_no_day_of_the_week():
    monthly = Attribute("revenues", (), Dimension("month_start", "month_start", grain="month"))
    by = Key("", ("metric_time",))
    assert apply_key(GRAPH, monthly, replace(by, part="quarter")).part == "quarter"
    with pytest.raises(QueryError, match="G313 'metric_time' has the grain month, so it has no date part 'dow'"):
        apply_key(GRAPH, monthly, replace(by, part="dow"))


def test_a_grain_that_does_not_exist_is_refused_with_the_nearest():
    with pytest.raises(QueryError, match="G304 no grain named 'mont'") as error:
        keys("TimeDimension('metric_time','mont')")
    assert "month" in error.value.hint


@pytest.mark.parametrize(
    ("items", "start", "end", "widened"),
    [
        ("metric_time__month", "2024-01-15", "2024-02-03", ("2024-01-01", "2024-03-01")),
        ("metric_time__day", "2024-01-15", "2024-02-03", ("2024-01-15", "2024-02-04")),
        ("metric_time__day metric_time__month", "2024-01-15", "2024-02-03", ("2024-01-15", "2024-02-04")),
        ("metric_time__season", "2024-01-15", "2024-02-03", ("2024-01-15", "2024-02-04")),
        ("metric_time__week", "2024-01-03", "2024-01-03", ("2024-01-01", "2024-01-08")),
        ("order__paid_at__month", "2024-01-15", "2024-02-03", ("2024-01-15", "2024-02-04")),
        ("", "2024-01-15T12:00", "2024-01-15T13:00", ("2024-01-15", "2024-01-16")),
        ("metric_time__year", "2024-06-01", None, ("2024-01-01", None)),
    ],
)
def test_a_time_constraint_is_widened_to_the_finest_asked_grain_of_metric_time(items, start, end, widened):
    asked = question("orders", items, start=start, end=end)
    span = make_span(GRAPH, asked, keys(items), [GRAPH.metric("orders")])
    assert tuple(edge and f"{edge:%Y-%m-%d}" for edge in (span.start, span.end)) == widened


def test_the_last_day_that_there_is_can_be_asked_for():
    asked = question("orders", "", end="9999-12-31")
    assert make_span(GRAPH, asked, (), [GRAPH.metric("orders")]).end == dt.datetime.max


@pytest.mark.parametrize(
    ("order", "name"),
    [
        ("orders", "orders"),
        ("metric_time", "metric_time__month"),
        ("metric_time__month", "metric_time__month"),
        ("TimeDimension('metric_time', 'month')", "metric_time__month"),
        ("Metric('orders')", "orders"),
        ("customer__segment", "customer__segment"),
    ],
)
def test_an_order_speaks_of_a_column_in_any_spelling(order, name):
    asked = [Metric("orders", GRAPH.metric("orders").definition, time_granularity="month")]
    found = make_keys(GRAPH, [parse_item("metric_time__month"), parse_item("customer__segment")], asked)
    assert make_orders(GRAPH, [parse_order(order)], found, ["orders"], asked) == ((name, False),)


def test_an_order_by_what_was_not_asked_for_is_refused():
    with pytest.raises(QueryError, match="G315") as error:
        make_orders(GRAPH, [parse_order("revenue")], keys("customer"), ["orders"], [GRAPH.metric("orders")])
    assert error.value.hint == "its columns are orders, customer"


@pytest.mark.parametrize(
    ("text", "code"),
    [("revenue > 1", "G316"), ("o.orders > 1", "G316"), ("orders > (select 1)", "G308"), ("orders >", "G308")],
)
def test_a_result_filter_speaks_only_of_the_results_columns(text, code):
    with pytest.raises(QueryError) as error:
        ask_result_filter(text, ["customer", "orders"], "duckdb", {})
    assert error.value.code == code


def test_a_result_filter_may_be_typed_in_capitals():
    assert ask_result_filter("ORDERS > 1", ["orders"], "duckdb", {}).sql() == "orders > 1"
