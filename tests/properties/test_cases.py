"""Cases that random questions found, each with its data: once wrong somewhere, or easily so."""

import datetime as dt
from typing import Any

import pytest

from gemel.errors import QueryError
from properties.asking import assert_same, by_sql, plain
from worlds import drawn
from worlds.questions import Question


def world(**tables: list[dict[str, Any]]) -> drawn.Tables:
    return {name: [] for name in drawn.COLUMNS} | drawn.SPINE_ROWS | tables


def sale(sold_at: str, amount: int = 10, **more: Any) -> dict[str, Any]:
    row = {"sale_id": 0, "customer_id": 1, "shop_id": None, "sold_at": dt.datetime.fromisoformat(sold_at)}
    return row | {"paid_at": None, "status": "done", "amount": amount} | more


def call(called_at: str, channel: str = "web", customer: int | None = 1) -> dict[str, Any]:
    moment = dt.datetime.fromisoformat(called_at)
    return {"call_id": 0, "customer_id": customer, "called_at": moment, "channel": channel, "minutes": 1.5}


def stock(on_day: str, level: int, color: str = "red", shop: int = 1) -> dict[str, Any]:
    return {"stock_id": 0, "shop_id": shop, "on_day": dt.date.fromisoformat(on_day), "color": color, "level": level}


def rows(question: Question, tables: drawn.Tables) -> list[tuple[Any, ...]]:
    """As the SQL gives them, once the reference evaluator has agreed; times as texts, in order."""
    assert_same(question, tables)
    found = [tuple(map(plain, row)) for row in by_sql(question, tables)[1]]
    return sorted(
        (tuple(v.isoformat()[:13] if isinstance(v, dt.datetime) else v for v in row) for row in found), key=str
    )


def test_a_sale_is_laid_on_its_own_periods_of_the_spine_and_no_others():
    tables = world(sales=[sale("2024-02-26 09:00")])
    question = Question(("sales_both",), ("metric_time__quarter", "metric_time__fiscal_month"))
    assert rows(question, tables) == [
        ("2024-01-01T00", "2024-02-05T00", 1),
        ("2024-01-01T00", "2024-03-05T00", 0),
        ("2024-04-01T00", "2024-03-05T00", 0),
        ("2024-04-01T00", "2024-04-05T00", 0),
    ]


def test_a_made_up_day_has_no_status_so_a_filter_on_an_asked_status_drops_it():
    tables = world(sales=[sale("2024-03-01 09:00"), sale("2024-03-03 09:00", status="open")])
    done = ("{{ Dimension('sale__status') }} = 'done'",)
    days = {"start": "2024-03-01", "end": "2024-03-04"}
    by_status = ("metric_time__day", "sale__status")
    assert rows(Question(("sales_both",), by_status, done, **days), tables) == [("2024-03-01T00", "done", 1)]
    assert rows(Question(("both_yesterday",), by_status, done, **days), tables) == [("2024-03-02T00", "done", 1)]
    assert len(rows(Question(("sales_both",), ("metric_time__day",), done, **days), tables)) == 4


def test_a_level_at_the_end_of_a_month_is_that_of_its_last_day_alone():
    tables = world(stock=[stock("2024-03-01", 5), stock("2024-03-29", 7), stock("2024-03-29", 2, "blue")])
    assert rows(Question(("level",), ("metric_time__month",)), tables) == [("2024-03-01T00", 9)]
    assert rows(Question(("level",), ("stock__color",)), tables) == [("blue", 2), ("red", 7)]


def test_a_color_that_is_not_there_on_the_last_day_has_no_level():
    tables = world(stock=[stock("2024-03-01", 5, "blue"), stock("2024-03-29", 7)])
    assert rows(Question(("level",), ("stock__color",)), tables) == [("red", 7)]


def test_a_level_at_the_start_of_a_month_is_that_of_one_day_in_each_week_of_the_month():
    tables = world(stock=[stock("2024-03-01", 5), stock("2024-03-01", 2, shop=2), stock("2024-03-20", 9)])
    weeks = [("2024-03-04T00", 7), ("2024-03-11T00", 7), ("2024-03-18T00", 7), ("2024-03-25T00", 7)]
    assert rows(Question(("level_at_month_start",), ("metric_time__week",)), tables) == weeks


def test_the_last_day_is_looked_for_after_the_filters():
    tables = world(stock=[stock("2024-03-01", 5, "blue"), stock("2024-03-29", 7)])
    blue = ("{{ Dimension('stock__color') }} = 'blue'",)
    assert rows(Question(("level",), (), blue), tables) == [(5,)]


def test_the_end_of_a_constraint_is_the_end_of_that_day_for_an_hourly_metric():
    tables = world(calls=[call(f"2024-03-03 {hour}:00") for hour in ("00", "09", "23")])
    for group_by in ((), ("metric_time__day",), ("metric_time__month",)):
        assert rows(Question(("calls",), group_by, end="2024-03-03"), tables)[0][-1] == 3


def test_an_offset_of_a_month_shows_the_leap_day_three_times_by_day():
    tables = world(sales=[sale("2024-02-29 09:00")])
    assert rows(Question(("last_month",), ("metric_time__day",)), tables) == [
        ("2024-03-29T00", 1),
        ("2024-03-30T00", 1),
        ("2024-03-31T00", 1),
    ]
    assert rows(Question(("last_month",), ("metric_time__month",)), tables) == [("2024-03-01T00", 1)]


def test_an_hourly_call_moves_by_custom_periods_whatever_its_hour():
    tables = world(calls=[call("2024-02-21 14:00"), call("2024-02-22 00:00")])
    before = Question(("calls_sprint_before",), ("metric_time__day",))
    assert rows(before, tables) == [("2024-03-02T00", 1), ("2024-03-03T00", 1)]
    with pytest.raises(QueryError, match="metric_time__hour"):
        by_sql(Question(("calls_sprint_before",), ("metric_time__hour",)), tables)


def test_a_filter_on_days_lays_months_on_a_spine_that_has_days():
    tables = world(calls=[call("2024-03-30 09:00"), call("2024-03-02 09:00")])
    by_month = Question(("late_both",), ("metric_time__month",))
    assert rows(by_month, tables) == [("2024-02-01T00", 0), ("2024-03-01T00", 1)]


def test_own_filters_on_time_choose_what_moves_and_not_the_days_of_the_spine_that_are_shown():
    tables = world(sales=[sale("2024-02-29 09:00"), sale("2024-03-01 09:00")])
    days = Question(("march_both_before",), ("metric_time__day",), start="2024-02-28", end="2024-03-05")
    found = rows(days, tables)
    assert found[0][0] == "2024-02-28T00"
    assert [row for row in found if row[1]] == [("2024-03-04T00", 1)]
    by_week_and_month = ("metric_time__week", "metric_time__month")
    found = rows(Question(("march_both_before",), by_week_and_month, start="2024-02-28", end="2024-03-05"), tables)
    assert found == [
        ("2024-02-26T00", "2024-02-01T00", 0),
        ("2024-02-26T00", "2024-03-01T00", 0),
        ("2024-03-04T00", "2024-03-01T00", 1),
    ]


def test_the_first_custom_period_has_no_period_before_it_and_is_there_all_the_same_on_the_spine():
    found = rows(Question(("both_sprint_before",), ("metric_time__day",)), world(sales=[sale("2024-02-20 09:00")]))
    assert len(found) == len(drawn.DAYS) and [row for row in found if row[1]] == [("2024-03-01T00", 1)]


def test_a_conversion_of_a_week_ago_is_not_that_of_today():
    tables = world(calls=[call("2024-02-26 09:00")], sales=[sale("2024-02-28 09:00")])
    assert rows(Question(("call_to_sale_before",), ("metric_time__day",)), tables) == [("2024-03-04T00", 1)]


def test_a_constraint_without_a_time_is_widened_to_the_grain_that_metric_time_would_have():
    tables = world(calls=[call(f"2024-03-03 {hour}:00") for hour in ("00", "09", "23")])
    noon = {"start": "2024-03-03T10:00", "end": "2024-03-03T11:00"}
    assert rows(Question(("calls",), (), **noon), tables) == [(3,)]
    assert rows(Question(("minutes_by_hour",), (), **noon), tables) == [(None,)]


def test_the_first_days_of_a_constraint_see_what_was_before_it():
    tables = world(sales=[sale("2024-02-29 09:00")])
    march = {"start": "2024-03-01", "end": "2024-03-02"}
    days = [("2024-03-01T00", 1), ("2024-03-02T00", 1)]
    assert rows(Question(("sales_7d",), ("metric_time__day",), **march), tables) == days
    assert rows(Question(("sales_7d_yesterday",), ("metric_time__day",), **march), tables) == days


def test_a_conversion_belongs_to_the_latest_call_and_not_to_the_first():
    calls = [call("2024-03-01 09:00", "web"), call("2024-03-03 09:00", "app")]
    tables = world(calls=calls, sales=[sale("2024-03-04 09:00")])
    assert rows(Question(("call_to_sale",), ("call__channel",)), tables) == [("app", 1), ("web", None)]


def test_a_conversion_counts_only_what_its_own_filter_lets_through():
    tables = world(calls=[call("2024-03-01")], sales=[sale("2024-03-01"), sale("2024-03-02", status="open")])
    assert rows(Question(("call_to_done",)), tables) == [(1,)]
    assert rows(Question(("call_to_sale",)), tables) == [(2,)]


def test_a_sale_on_the_last_day_of_the_window_follows_and_a_day_later_does_not():
    for sold_at, rate in (("2024-03-03 23:00", 1), ("2024-03-04 00:00", None)):
        tables = world(calls=[call("2024-02-26 09:00")], sales=[sale(sold_at)])
        assert rows(Question(("call_to_sale_rate",), ("metric_time__month",)), tables) == [("2024-02-01T00", rate)]


def test_a_filled_count_is_0_where_only_the_other_metric_has_the_group_but_a_conversion_is_not():
    tables = world(sales=[sale("2024-03-01", customer_id=2)], calls=[call("2024-03-01")])
    assert rows(Question(("sales_filled", "calls"), ("customer",)), tables) == [(1, 0, 1), (2, 1, None)]
    assert rows(Question(("call_to_sale_filled", "sales"), ("customer",)), tables) == [(1, 0, None), (2, None, 1)]
    assert rows(Question(("sold_and_sales",), ("customer",)), tables) == [(1, 0), (2, None)]


def test_a_missing_status_of_two_metrics_is_one_group():
    tables = world(calls=[call("2024-03-01", customer=None)], sales=[sale("2024-03-01", customer_id=None)])
    assert rows(Question(("sales", "calls"), ("customer__segment",)), tables) == [(None, 1, 1)]


def test_a_history_cannot_be_read_without_a_moment():
    with pytest.raises(QueryError):
        by_sql(Question((), ("shop__manager", "stock__color")), world())


def test_a_conversions_own_filter_on_a_channel_leaves_the_days_without_calls_where_they_are():
    tables = world(calls=[call("2024-03-01", "web"), call("2024-03-02", "app")])
    by_channel = Question(("web_call_to_sale_on_spine",), ("metric_time__day", "call__channel"))
    assert len(rows(by_channel, tables)) == len(drawn.DAYS)


def test_a_cumulative_metrics_own_filter_on_time_bounds_the_spine_that_it_is_laid_on():
    found = rows(Question(("march_both_3d",), ("metric_time__day",)), world(sales=[sale("2024-02-29 09:00")]))
    assert found[:3] == [("2024-03-01T00", 1), ("2024-03-02T00", 1), ("2024-03-03T00", 0)]


def test_values_are_filtered_by_a_metric_and_what_only_the_metric_has_is_a_value_of_nobody():
    calls = [call("2024-03-01", customer=customer) for customer in (1, 1, 2, 99, 99)]
    known = [{"customer_id": n, "region_id": None, "joined_at": None, "segment": segment} for n, segment in CUSTOMERS]
    tables = world(calls=calls, customers=known)
    often = ("{{ Metric('calls', ['customer']) }} >= 2",)
    assert values(Question((), ("customer__segment",), often), tables) == [("gold",), (None,)]
    never = ("{{ Metric('calls', ['customer']) }} is null",)
    assert values(Question((), ("customer__segment", "customer"), never), tables) == [("tin", 3)]


CUSTOMERS = ((1, "gold"), (2, "tin"), (3, "tin"))


def values(question: Question, tables: drawn.Tables) -> list[tuple[Any, ...]]:
    return sorted(by_sql(question, tables)[1], key=str)
