"""Facts seen from the days of a calendar: whatever SQL is the fastest for a window, what it holds is the same."""

import datetime as dt
from functools import cache

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from gemel.compiler.plan.algebra import Aggregate, AsOf, Calendar, Derive, Named, Scan, Summary, Windowed
from gemel.compiler.plan.facts import stepped, truncated
from gemel.compiler.question.expressions import column
from gemel.compiler.sql import dialects
from gemel.compiler.sql.lowering import lower
from gemel.engines.duckdb import DUCKDB
from gemel.spec.manifest import Relation
from gemel.spec.time import Window, floor, step
from worlds.drawn import literal

FIRST = dt.datetime(2024, 1, 25)
DAYS = [FIRST + dt.timedelta(days=number) for number in range(14)]
BACKS = [Window(1, "day"), Window(3, "day"), Window(1, "week"), Window(1, "month"), "week", "month", None]

# The spine lacks days, at its ends too, on which there are facts.
calendars = st.lists(st.sampled_from(DAYS), unique=True)
facts = st.lists(
    st.tuples(
        st.sampled_from([*DAYS, None]),
        st.sampled_from(["a", "b", None]),
        st.sampled_from([1, 2, None]),
        st.integers(0, 9),
    ),
    max_size=8,
)


def sees(moment, fact, back):
    match back:
        case None:
            return fact <= moment
        case str():
            return floor(moment, back) <= fact <= moment
        case Window():
            return step(moment, back.unit, -back.count) < fact <= moment


def expected(days, rows, back, keys):
    groups = {}
    for day in days:
        for fact, *values, amount in rows:
            if fact is not None and sees(day, fact, back):
                groups.setdefault((day, *values[: len(keys)]), []).append(amount)
    return {(*group, sum(amounts), max(amounts)) for group, amounts in groups.items()}


@pytest.mark.parametrize(("back", "grain"), [*((back, "day") for back in BACKS), (None, "hour")], ids=str)
@pytest.mark.parametrize("keys", [(), ("k", "n")], ids=["no key", "two keys"])
@given(days=calendars, rows=facts)
def test_a_day_shows_the_facts_that_it_can_see_whether_the_calendar_has_their_days_or_not(
    connection, back, grain, keys, days, rows
):
    for table, values in (("days", [(day,) for day in days]), ("facts", rows)):
        connection.execute(f"delete from {table}")
        if values:
            texts = ["(" + ", ".join(literal(value) for value in row) + ")" for row in values]
            connection.execute(f"insert into {table} values {', '.join(texts)}")
    found = connection.execute(sql_of(grain, keys, back)).fetchall()
    assert len(found) == len(set(found))
    assert set(found) == expected(days, rows, back, keys)


@pytest.mark.parametrize("back", BACKS, ids=str)
@pytest.mark.parametrize("edge", ["first", "last"])
@given(days=calendars, rows=facts)
def test_each_key_has_the_first_or_last_day_of_each_period_that_can_see_a_fact(connection, back, edge, days, rows):
    """Periods need not be whole: the even days are a period, too."""
    for table, values in (("days", [(day,) for day in days]), ("facts", rows)):
        connection.execute(f"delete from {table}")
        if values:
            texts = ["(" + ", ".join(literal(value) for value in row) + ")" for row in values]
            connection.execute(f"insert into {table} values {', '.join(texts)}")
    answer = connection.execute(sql_of("day", ("k", "n"), back, edge)).fetchall()
    edges = {}
    for day, *key, total, most in sorted(expected(days, rows, back, ("k", "n")), key=lambda row: row[0]):
        group = (floor(day, "week"), day.day % 2, *key)
        if edge == "last" or group not in edges:
            edges[group] = (day, *group, total, most)
    assert sorted(answer, key=str) == sorted(edges.values(), key=str)


@pytest.fixture(scope="module", autouse=True)
def connection():
    with duckdb.connect() as made:
        made.execute("create table days (day timestamp)")
        made.execute("create table facts (happened timestamp, k text, n int, x int)")
        yield made


@cache
def sql_of(grain, keys, back, edge=None):
    return dialects.speak(lower(seen(grain, keys, back, edge), dialects.named()), DUCKDB)


def seen(grain, keys, back, edge):
    time = Named("moment", truncated(column("day", "spine"), grain, None))
    of_month = exp.Extract(this=exp.var("DAY"), expression=column("day", "spine"))
    periods = (
        Named("week", truncated(column("day", "spine"), "week", None)),
        Named("odd", exp.Mod(this=of_month, expression=exp.Literal.number(2))),
    )
    days = Derive(Scan(Relation("days"), "spine"), (time, *(periods if edge else ())))
    calendar = Calendar(days, "moment", keys, edge)
    named = (Named("moment", stepped(column("happened", "f"), grain)), *(Named(key, column(key, "f")) for key in keys))
    parts = (Summary("x", "sum", column("x", "f")), Summary("y", "max", column("x", "f")))
    by_step = Aggregate(Scan(Relation("facts"), "f"), named, parts)
    values = (Windowed("total", "sum", "x", back), Windowed("most", "max", "y", back))
    return AsOf(calendar, by_step, Window(1, grain), values)
