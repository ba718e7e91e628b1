"""The last half microsecond of its day is in one day everywhere, or the query is refused (G409)."""

import datetime as dt

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gemel
from gemel.errors import WarehouseError
from gemel.session import Session
from gemel.spec.manifest import Dimension, Entity, Manifest, Relation, SemanticModel
from gemel.spec.metrics import Measure, Metric, Simple
from reference_values import truncate

DAY = dt.date(2024, 3, 31)
SHOP = duckdb.connect(config={"threads": 1})
FLOORED = "make_timestamp(epoch_ns(seen_at) // 1000)"


def asked(expr="seen_at"):
    """Visits by their time, which the definition reads as `expr`."""
    dimension = Dimension("seen_at", expr, grain="microsecond")
    model = SemanticModel("visits", Relation("visits"), None, (Entity("visit", "primary", "visit"),), (dimension,))
    manifest = Manifest((model,), (Metric("visits", Simple(Measure("visits", "visits", "count", "1", "seen_at"))),))
    return gemel.Project(Session(manifest, None, database=SHOP))


def hold(kind, *times):
    SHOP.execute(f"create or replace table visits as select 1 as visit, null::{kind} as seen_at limit 0")
    SHOP.executemany(f"insert into visits values (1, ?::{kind})", [[time] for time in times])


def in_march(project):
    """The days of visits, and their number in March by each way to ask for it."""
    days = [(day.date(), count) for day, count in project.query(["visits"], ["metric_time__day"]).rows()]
    [(bounded,)] = project.query(["visits"], end_time="2024-03").rows()
    [(filtered,)] = project.query(["visits"], where="{{ TimeDimension('metric_time', 'day') }} < '2024-04-01'").rows()
    return sorted(days), bounded, filtered


@pytest.mark.parametrize(
    ("kind", "time"),
    [
        ("timestamp", "2024-03-31 23:59:59.999999"),
        ("timestamptz", "2024-03-31 23:59:59.999999+00"),
        ("timestamp_s", "2024-03-31 23:59:59"),
        ("timestamp_ms", "2024-03-31 23:59:59.999"),
        ("timestamp_ns", "2024-03-31 23:59:59.999999499"),
        ("date", "2024-03-31"),
    ],
)
def test_the_last_time_of_a_day_that_a_type_can_hold_is_in_that_day(kind, time):
    hold(kind, time)
    assert in_march(asked()) == ([(DAY, 1)], 1, 1)


def test_a_time_that_would_be_shown_in_the_next_day_is_refused_with_the_column():
    hold("timestamp_ns", "2024-03-31 23:59:59.999999999")
    for question in ({"group_by": ["metric_time__day"]}, {"group_by": ["metric_time__extract_day"]}):
        with pytest.raises(
            WarehouseError, match=r"G409 visits.seen_at has a time in the last half microsecond of its day"
        ):
            asked().query(["visits"], **question).rows()
    with pytest.raises(WarehouseError, match="G409"):
        asked().query(["visits"], where="{{ TimeDimension('metric_time', 'day') }} = '2024-03-31'").rows()
    assert asked().query(["visits"], end_time="2024-03-31").rows() == [(1,)]  # truncates nothing


def test_the_definition_that_the_hint_names_has_one_day_for_it():
    hold("timestamp_ns", "2024-03-31 23:59:59.999999999")
    assert in_march(asked(FLOORED)) == ([(DAY, 1)], 1, 1)


@pytest.mark.parametrize("text", ["2024-03-31 23:59:59.9999999", "2024-03-31 23:59:59.999999999", "2024-03-31"])
def test_a_time_that_is_stored_as_text_is_refused_or_in_its_day_once_it_is_cast(text):
    hold("varchar", text)
    assert in_march(asked("cast(seen_at as timestamp)")) == ([(DAY, 1)], 1, 1)
    with pytest.raises(WarehouseError, match="G406"):
        in_march(asked())


def test_a_time_that_is_stored_as_a_number_is_refused_or_in_its_day_once_it_is_converted():
    hold("bigint", 1711929599999999999)
    assert in_march(asked("make_timestamp(seen_at // 1000)")) == ([(DAY, 1)], 1, 1)
    with pytest.raises(WarehouseError, match="G406"):
        in_march(asked())
    with pytest.raises(WarehouseError, match=r"G409 a time with nanoseconds .* is truncated to its day"):
        in_march(asked("make_timestamp_ns(seen_at)"))


nanoseconds = st.builds(
    lambda second, below: second * 10**9 - below,
    st.sampled_from([1711929600, 1711929600, 1711886400, 1711886407]),  # a midnight, an hour, a second
    st.sampled_from([-1, 0, 1, 499, 500, 501, 999, 1000, 1500]),
)


@given(times=st.lists(nanoseconds, min_size=1, max_size=4), grain=st.sampled_from(["second", "minute", "hour", "day"]))
def test_every_time_is_in_its_own_period_or_refused(times, grain):
    SHOP.execute("create or replace table visits as select 1 as visit, null::timestamp_ns as seen_at limit 0")
    SHOP.executemany("insert into visits values (1, make_timestamp_ns(?))", [[time] for time in times])
    moments = [dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=time // 1000) for time in times]
    expected = [truncate(moment, grain) for moment in moments]
    assert {at for at, _ in asked(FLOORED).query(["visits"], [f"metric_time__{grain}"]).rows()} == {*expected}
    rounded = [
        truncate(dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=(time + 500) // 1000), grain) for time in times
    ]
    try:
        found = {at for at, _ in asked().query(["visits"], [f"metric_time__{grain}"]).rows()}
    except WarehouseError as error:
        assert error.code == "G409" and rounded != expected
    else:
        assert found == {*expected} and rounded == expected
