"""Distinct values over a trailing window: when each comes into sight, and when it is gone."""

import datetime as dt
from typing import Any

import pytest

from gemel.compiler.compiled import compile_query
from gemel.compiler.plan.distinct import _lost
from gemel.compiler.question.expressions import parse_expression
from gemel.compiler.question.parsing import make_query
from gemel.spec.time import Window
from worlds.shop import GRAPH, Shop


@pytest.fixture
def shop():
    return Shop()


def ask(shop: Shop, metric: str, group_by: str) -> list[tuple[Any, ...]]:
    return shop.run(compile_query(GRAPH, make_query([metric], group_by.split())).sql)


def test_a_customer_counts_once_from_an_order_on_until_the_window_has_lost_the_last(shop):
    shop.order(1, "2024-01-02 09:00")
    shop.order(1, "2024-01-02 17:00")
    shop.order(1, "2024-01-03 09:00")
    shop.order(2, "2024-01-03 09:00")
    found = ask(shop, "buyers[2 days]", "metric_time__day")
    assert found == [("2024-01-02", 1), ("2024-01-03", 2), ("2024-01-04", 2)]


def test_a_day_that_sees_only_orders_of_nobody_counts_none_and_one_that_sees_no_order_has_no_row(shop):
    shop.order(None, "2024-01-02")
    shop.order(1, "2024-01-05")
    shop.order(1, None)
    by_status = [("2024-01-02", "done", 0), ("2024-01-03", "done", 0), ("2024-01-05", "done", 1)]
    assert ask(shop, "buyers[2 days]", "metric_time__day order__status")[:3] == by_status
    assert ask(shop, "buyers[2 days]", "metric_time__day")[:3] == [(day, count) for day, _, count in by_status]


def test_orders_without_a_status_are_a_group_too(shop):
    shop.order(1, "2024-01-30", status=None)
    shop.order(1, "2024-01-31")
    found = ask(shop, "buyers[month to date]", "metric_time__day order__status")
    assert found == [("2024-01-30", None, 1), ("2024-01-31", "done", 1), ("2024-01-31", None, 1)]


def test_a_month_after_the_31st_is_over_when_no_day_of_the_next_month_is_left():
    lost = _lost(parse_expression("day"), Window(1, "month")).sql("duckdb")
    days = dict(Shop().connection.execute(f"select day, {lost} from days").fetchall())
    assert str(days[dt.date(2024, 1, 28)]) == "2024-02-28 00:00:00"
    assert {str(days[dt.date(2024, 1, day)]) for day in (30, 31)} == {"2024-03-01 00:00:00"}


@pytest.mark.parametrize(
    "window", [Window(1, "month"), Window(6, "month"), Window(1, "quarter"), Window(1, "year")], ids=str
)
def test_a_moment_is_lost_on_the_first_day_that_does_not_look_back_to_it(window):
    back = f"interval {window.count} {window.unit}"
    lost = _lost(parse_expression("day"), window).sql("duckdb")
    differ = f"""
        with days as (select unnest(generate_series(date '2023-11-01', date '2025-06-30', interval 1 day)) as day)
        select day, {lost}, (select min(d.day) from days as d where d.day > days.day and not days.day > d.day - {back})
        from days where day < date '2024-05-01' and {lost} is distinct from
            (select min(d.day) from days as d where d.day > days.day and not days.day > d.day - {back})
    """
    assert Shop().connection.execute(differ).fetchall() == []
