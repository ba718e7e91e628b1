"""Facts by the hour on a time spine by the day: they are accumulated and moved by days."""

import datetime as dt
import random
from types import SimpleNamespace

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from gemel.compiler.compiled import compile_query
from gemel.errors import DefinitionError
from gemel.spec.manifest import Manifest
from gemel.spec.metrics import Cumulative, Derived, Metric
from gemel.spec.time import Window
from properties.asking import DAYS, Place, assert_same, by_sql
from properties.test_cases import call, world
from worlds import drawn
from worlds.drawn import used
from worlds.questions import Asker, Question
from worlds.shop import flat

MORE = (
    Metric("calls_7d", Cumulative(used("calls"), Window(7, "day"))),
    Metric("calls_ever", Cumulative(used("calls"))),
    Metric("calls_mtd_last", Cumulative(used("calls"), grain_to_date="month", period_agg="last")),
    Metric("calls_both_2d", Cumulative(used("calls_both"), Window(2, "day"))),
    Metric("callers_7d", Cumulative(used("callers"), Window(7, "day"))),
    Metric("calls_last_month", Derived("before", (used("calls", "before", offset_window=Window(1, "month")),))),
    Metric("calls_7d_yesterday", Derived("before", (used("calls_7d", "before", offset_window=Window(1, "day")),))),
)
SPINES = tuple(spine for spine in drawn.SPINES if spine.grain != "hour")
DAILY = Place(
    SimpleNamespace(
        MANIFEST=Manifest(drawn.MODELS, (*drawn.METRICS, *MORE), time_spines=SPINES),
        COLUMNS=drawn.COLUMNS,
    )
)
OF_CALLS = [*(metric.name for metric in MORE), "callers_1d", "callers_dtd", "calls_before", "sales_7d_per_call"]


@given(seed=st.integers(0, 2**32), tables=drawn.worlds)
def test_calls_by_the_hour_are_accumulated_and_moved_by_days(seed, tables):
    asker = Asker(DAILY.world.MANIFEST, drawn.VALUES, DAYS)
    asker.public = OF_CALLS
    question = asker.question(random.Random(seed))
    note(str(question))
    assert_same(question, tables, DAILY)


def test_a_window_of_days_holds_whole_days_of_calls():
    tables = world(calls=[call(f"2024-03-{day:02} {hour}:00") for day, hour in ((1, "00"), (1, "23"), (3, "09"))])
    question = Question(("calls_7d",), ("metric_time__day",), start="2024-03-01", end="2024-03-08")
    assert_same(question, tables, DAILY)
    days = {row[0]: row[1] for row in by_sql(question, tables, DAILY)[1]}
    assert [days.get(dt.datetime(2024, 3, day)) for day in (1, 2, 3, 7, 8)] == [2, 2, 3, 3, 1]


@pytest.mark.parametrize(
    "question",
    [
        Question(("calls_6h",), ("metric_time__day",)),
        Question(("calls_7d",), ("metric_time__hour",)),
        Question(("calls_7d",), ("metric_time__day",), ("{{ TimeDimension('metric_time', 'hour') }} > '2024-03-01'",)),
    ],
    ids=["a window of hours", "by the hour", "a filter by the hour"],
)
def test_what_is_finer_than_the_spine_is_refused(question):
    with pytest.raises(DefinitionError, match="G104 no time spine is fine enough for grain 'hour'"):
        by_sql(question, world(), DAILY)


def test_the_sql_of_calls_by_the_hour_over_days_is_what_one_would_write():
    question = Question(("calls_7d",), ("metric_time__day",))
    assert flat(compile_query(DAILY.graph, question.for_gemel()).sql) == flat("""
        WITH calls_by_day AS (
          SELECT
            CAST(calls.called_at AS DATE) AS metric_time__day,
            COUNT(*) AS calls
          FROM main.calls
          GROUP BY 1
        ), spine AS (
          SELECT
            DATE_TRUNC('DAY', spine."day") AS metric_time__day
          FROM main.spine_day AS spine
        )
        SELECT
          spine.metric_time__day,
          SUM(facts.calls) AS calls_7d
        FROM calls_by_day AS facts
        JOIN spine
          ON facts.metric_time__day <= spine.metric_time__day
          AND facts.metric_time__day > spine.metric_time__day - INTERVAL '7' DAY
        GROUP BY 1
    """)
