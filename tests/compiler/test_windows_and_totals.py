"""Two things that a question can ask of any metric: its value over a window before each moment, and a total."""

import pytest

from gemel.compiler.compiled import compile_query
from gemel.compiler.question.parsing import make_query, parse_metric
from gemel.compiler.question.query import Over, QueryMetric
from gemel.errors import QueryError
from gemel.spec.time import Window
from worlds.shop import GRAPH


def ask(shop, metrics: list[str], group_by: str = "", **more):
    return shop.run(compile_query(GRAPH, make_query(metrics, group_by.split(), **more)).sql)


@pytest.fixture
def week(shop):
    shop.order(1, "2024-01-02", 10)
    shop.order(1, "2024-01-04", 30, status="open")
    shop.order(2, "2024-01-04", 5)
    return shop


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("orders", QueryMetric("orders")),
        ("orders[7 days]", QueryMetric("orders", over=Over(Window(7, "day")))),
        ("Orders[ 1 week ]", QueryMetric("orders", over=Over(Window(1, "week")))),
        ("orders[month to date]", QueryMetric("orders", over=Over(grain_to_date="month"))),
        ("orders[all]", QueryMetric("orders", over=Over())),
    ],
)
def test_a_metric_is_asked_for_over_a_window_in_brackets(text, asked):
    assert parse_metric(text) == asked


@pytest.mark.parametrize("text", ["orders[]", "orders[7]", "orders[0 days]", "orders[seven days]", "orders[7 dayz]"])
def test_a_window_that_cannot_be_read_is_refused_with_the_right_ways_to_write_it(text):
    with pytest.raises(QueryError, match="G325") as refused:
        parse_metric(text)
    assert "orders[7 days]" in str(refused.value)


def test_a_metric_over_a_window_is_the_cumulative_metric_of_that_window(week):
    asked = ask(week, ["orders[7 days]", "revenue[7 days]"], "metric_time customer")
    assert asked == ask(week, ["orders_7d", "revenue_7d"], "metric_time customer")
    assert ("2024-01-04", 1, 2, 40) in asked


def test_a_ratio_over_a_window_divides_the_windows_not_the_days(week):
    rows = ask(week, ["done_share[7 days]"], "metric_time")
    assert ("2024-01-04", pytest.approx(2 / 3)) in rows


def test_the_columns_of_one_metric_over_several_windows_have_different_names(week):
    query = make_query(["orders", "orders[2 days]", "orders[month to date]", "orders[all]"], ["metric_time"])
    assert [asked.column for asked in query.metrics] == ["orders", "orders_2d", "orders_month_to_date", "orders_all"]
    assert ("2024-01-05", None, 2, 3, 3) in week.run(compile_query(GRAPH, query).sql)


def test_all_time_needs_no_time_to_look_from_and_a_window_does(week):
    assert ask(week, ["orders[all]"]) == [(3,)]
    with pytest.raises(QueryError, match="G319"):
        ask(week, ["orders[7 days]"])


def test_all_time_by_customer_holds_what_came_before_the_time_spine_began(week):
    week.order(1, "2023-12-20", 7)
    week.order(None, "2024-01-31", 1)
    rows = ask(week, ["revenue[all]"], "metric_time customer")
    assert rows[0] == ("2024-01-01", 1, 7)
    assert rows[-3:] == [("2024-01-31", 1, 47), ("2024-01-31", 2, 5), ("2024-01-31", None, 1)]


def test_a_metric_and_its_window_take_one_pass_and_the_day_keeps_its_type(week):
    sql = compile_query(GRAPH, make_query(["orders", "orders[7 days]"], ["metric_time"])).sql
    assert sql.count("FROM orders\n") == 1
    types = [week.connection.sql(sql).types[0] for sql in (sql, sql.replace("AS DATE", "AS TIMESTAMP"))]
    assert types == ["TIMESTAMP", "TIMESTAMP"]


def test_two_windowed_metrics_of_one_fact_take_one_pass(week):
    for window in ("7 days", "month to date", "all"):
        for group_by in ("metric_time", "metric_time customer"):
            query = make_query([f"orders[{window}]", f"revenue[{window}]"], group_by.split())
            assert compile_query(GRAPH, query).sql.count("FROM orders\n") == 1


def test_a_metric_that_looks_over_time_already_takes_no_window(week):
    with pytest.raises(QueryError, match="G326"):
        ask(week, ["orders_7d[2 days]"], "metric_time")


def test_a_total_is_computed_from_the_facts_not_from_the_groups(week):
    rows = ask(week, ["orders", "buyers", "average_amount", "done_share"], "order__status", totals=True)
    assert rows == [
        ("done", 2, 2, 7.5, 1.0, False),
        ("open", 1, 1, 30.0, None, False),
        (None, 3, 2, 15.0, pytest.approx(2 / 3), True),
    ]


def test_a_group_without_a_value_is_told_from_the_total(week):
    week.order(None, "2024-01-05")
    rows = ask(week, ["orders"], "customer", totals=True)
    assert rows[-2:] == [(None, 1, False), (None, 4, True)]


def test_limit_and_result_filter_cut_groups_and_leave_the_total(week):
    rows = ask(week, ["orders"], "customer", totals=True, limit=1, order_by=["-orders"], having=["orders < 3"])
    assert rows == [(1, 2, False), (None, 3, True)]


def test_the_total_comes_last_whatever_the_order(week):
    sql = compile_query(GRAPH, make_query(["orders"], ["customer"], order_by=["customer"], totals=True)).sql
    assert week.connection.execute(sql).fetchall()[-1] == (None, 3, True)


def test_a_metric_that_needs_a_time_has_no_total(week):
    with pytest.raises(QueryError, match="G319 metric 'orders_7d' has no total") as error:
        ask(week, ["orders_7d"], "metric_time", totals=True)
    assert "--totals" in error.value.hint


@pytest.mark.parametrize("window", ["3 hours", "hour to date"])
def test_what_is_known_by_day_has_no_last_hours(week, window):
    with pytest.raises(QueryError, match="G313 metric 'orders' has the grain day"):
        ask(week, [f"orders[{window}]"], "metric_time")
