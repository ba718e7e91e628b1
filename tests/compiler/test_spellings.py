"""Questions as texts, read into values."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from gemel.compiler.question.parsing import make_query, parse_item, parse_order, parse_reference
from gemel.compiler.question.query import Item, MetricItem, Order
from gemel.errors import QueryError


@pytest.mark.parametrize(
    ("short", "call"),
    [
        ("customer__segment", "Dimension('customer__segment')"),
        ("metric_time", "TimeDimension('metric_time')"),
        ("customer", "Entity('customer')"),
        ("metric_time__extract_dow", "TimeDimension('metric_time', date_part_name='dow')"),
        ("metric_time__extract_dow", "Dimension('metric_time').date_part('DOW')"),
    ],
)
def test_both_spellings_name_the_same(short, call):
    left, right = parse_item(short), parse_item(call)
    assert (left.segments, left.grain, left.part) == (right.segments, right.grain, right.part)


@pytest.mark.parametrize(
    "text",
    [
        "TimeDimension('metric_time', 'month')",
        "TimeDimension('metric_time', 'MONTH')",
        "TimeDimension('metric_time').grain('month')",
        "Dimension('metric_time').grain('month')",
        "TimeDimension(time_dimension_name='metric_time', time_granularity_name='month')",
        "TimeDimension('metric_time', grain='month')",
    ],
)
def test_a_grain_may_be_said_in_any_of_dbts_ways(text):
    assert parse_item(text) == Item(("metric_time",), grain="month", kind="time")


def test_a_grain_behind_underscores_stays_a_segment_until_the_graph_is_asked():
    assert parse_item("metric_time__month") == Item(("metric_time", "month"))


def test_names_are_lower_case_whatever_is_typed():
    assert parse_item("Customer__SEGMENT") == Item(("customer", "segment"))


def test_an_entity_path_stands_in_front_once():
    path = ("customer", "region", "region_name")
    assert parse_item("Dimension('region__region_name', entity_path=['customer'])").segments == path
    assert parse_item("Dimension('customer__region__region_name', entity_path=['customer'])").segments == path


def test_a_metric_in_a_filter_knows_its_entities():
    assert parse_reference("Metric('Orders', ['customer'])") == MetricItem("orders", (Item(("customer",)),))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("revenue", Order(Item(("revenue",)))),
        ("-revenue", Order(Item(("revenue",)), descending=True)),
        ("Metric('revenue').descending(True)", Order(Item(("revenue",)), descending=True)),
        ("Metric('revenue').descending(False)", Order(Item(("revenue",)))),
    ],
)
def test_an_order_descends_by_a_minus_or_by_dbts_call(text, expected):
    assert parse_order(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a____b",
        "__class__",
        "customer.segment",
        "customer; drop table orders",
        "customer' or 1=1 --",
        "__import__('os').system('true')",
        "Dimension(__import__('os'))",
        "Dimension('a').__class__",
        "Dimension(*['a'])",
        "Dimension(**{'name': 'a'})",
        "Dimension('a', unknown='b')",
        "Dimension('a', name='b')",
        "Dimension('a', 'b', 'c', 'd')",
        "Dimension(f'{1}')",
        "Dimension('a') or Dimension('b')",
        "lambda: Dimension('a')",
        "Dimension('a').descending(True)",
        "Dimension(" * 500 + ")" * 500,
        "\0",
    ],
)
def test_what_is_neither_a_name_nor_one_of_our_calls_is_refused(text):
    with pytest.raises(QueryError) as error:
        parse_item(text)
    assert error.value.code == "G303"
    assert len(str(error.value)) < 600


def test_an_unknown_date_part_is_refused_with_those_that_are_known():
    with pytest.raises(QueryError, match="G304 no date part named 'hour'") as error:
        parse_item("metric_time__extract_hour")
    assert "dow" in error.value.hint


def test_an_end_day_lasts_until_its_last_moment_and_an_end_time_until_itself():
    assert make_query(["orders"], end="2024-01-31").end == dt.datetime(2024, 1, 31, 23, 59, 59, 999999)
    assert make_query(["orders"], end="2024-01-31T12:00").end == dt.datetime(2024, 1, 31, 12)


def test_a_time_with_an_offset_is_that_instant_on_the_clocks_of_the_project():
    assert make_query(["orders"], start="2024-01-31T12:00+02:00").start == dt.datetime(2024, 1, 31, 10)
    berlin = make_query(["orders"], start="2024-01-31T12:00+02:00", timezone="Europe/Berlin")
    assert berlin.start == dt.datetime(2024, 1, 31, 11)
    assert make_query(["orders"], start="2024-01-31T12:00", timezone="Europe/Berlin").start.hour == 12


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2024", "2024-01-01", "2024-12-31"),
        ("2024-02", "2024-02-01", "2024-02-29"),
        ("2024-W09", "2024-02-26", "2024-03-03"),
        ("2024-02-29", "2024-02-29", "2024-02-29"),
        ("9999-12", "9999-12-01", "9999-12-31"),
    ],
)
def test_a_period_starts_at_its_first_moment_and_ends_at_its_last(text, first, last):
    asked = make_query(["orders"], start=text, end=text)
    assert (str(asked.start), str(asked.end)) == (f"{first} 00:00:00", f"{last} 23:59:59.999999")


def test_days_ago_are_counted_from_today_in_the_project_s_zone():
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):  # where it is never the same day
        day = dt.datetime.now(ZoneInfo(zone)).date()
        asked = make_query(["orders"], start="7 days ago", end="today", timezone=zone)
        assert (asked.start, asked.end.date()) == (
            dt.datetime.combine(day - dt.timedelta(days=7), dt.time.min),
            day,
        )
    asked = make_query(["orders"], start="1 year ago", end=" 2 Months ago ")
    assert asked.start < asked.end < dt.datetime.now() - dt.timedelta(days=55)


@pytest.mark.parametrize(
    ("times", "code"),
    [
        ({"start": "yesterday"}, "G302"),
        ({"start": "2024-02-30"}, "G302"),
        ({"start": "2024-13"}, "G302"),
        ({"start": "0000"}, "G302"),
        ({"start": "7 hours ago"}, "G302"),
        ({"end": "7 days"}, "G302"),
        ({"start": "2024-02-01", "end": "2024-01-31"}, "G302"),
        ({"limit": -1}, "G301"),
    ],
)
def test_impossible_times_and_limits_are_refused(times, code):
    with pytest.raises(QueryError) as error:
        make_query(["orders"], **times)
    assert error.value.code == code


def test_a_mapping_says_the_same_as_a_text():
    asked = make_query(
        [{"name": "orders", "alias": "n"}],
        [{"name": "metric_time", "grain": "month"}, {"name": "customer__region", "grain": None}],
        order_by=[{"metric": "orders", "descending": True}, {"group_by": {"name": "customer__region"}}],
    )
    assert [(metric.name, metric.column) for metric in asked.metrics] == [("orders", "n")]
    assert [(item.segments, item.grain, item.kind) for item in asked.group_by] == [
        (("metric_time",), "month", "time"),
        (("customer", "region"), None, "any"),
    ]
    assert [(order.key.segments, order.descending) for order in asked.order_by] == [
        (("orders",), True),
        (("customer", "region"), False),
    ]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"metrics": None}, "G343"),
        ({"metrics": [None]}, "G343"),
        ({"where": [5]}, "G343"),
        ({"having": 5}, "G343"),
        ({"group_by": [{"name": "metric_time", "grian": "day"}]}, "G343"),
        ({"group_by": [{"grain": "day"}]}, "G343"),
        ({"group_by": [{"name": "metric_time", "date_part": "hour"}]}, "G304"),
        ({"order_by": [{"metric": "orders", "group_by": "metric_time"}]}, "G343"),
        ({"metrics": [{"name": "orders", "alias": " "}]}, "G343"),
        ({"limit": "5"}, "G301"),
        ({"limit": True}, "G301"),
        ({"limit": 1.5}, "G301"),
        ({"start": 5}, "G302"),
    ],
)
def test_what_is_no_question_is_refused_by_its_part(given, code):
    with pytest.raises(QueryError) as error:
        make_query(**{"metrics": ["orders"], **given})
    assert error.value.code == code
