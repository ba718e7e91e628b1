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
        st.one_of(st.none(), st.integers(0, 9)),
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
    return {(*group, *summed(amounts)) for group, amounts in groups.items()}


def summed(amounts):
    """The sum, the greatest and the number of the values, as SQL has them: NULL is none."""
    values = [amount for amount in amounts if amount is not None]
    return (sum(values) if values else None, max(values, default=None), len(values))


@pytest.mark.parametrize(("back", "grain"), [*((back, "day") for back in BACKS), (None, "hour")], ids=str)
@pytest.mark.parametrize("keys", [(), ("k", "n")], ids=["no key", "two keys"])
@given(days=calendars, rows=facts)
def test_a_day_shows_the_facts_that_it_can_see_whether_the_calendar_has_their_days_or_not(
    connection, back, grain, keys, days, rows
):
    fill(connection, days, rows)
    found = connection.execute(sql_of(grain, keys, back)).fetchall()
    assert len(found) == len(set(found))
    assert set(found) == expected(days, rows, back, keys)


@pytest.mark.parametrize("back", BACKS, ids=str)
@pytest.mark.parametrize("period_agg", ["first", "last"])
@given(days=calendars, rows=facts)
def test_each_key_has_the_first_or_last_day_of_each_period_that_can_see_a_fact(
    connection, back, period_agg, days, rows
):
    """Periods need not be whole: the even days are a period, too."""
    fill(connection, days, rows)
    answer = connection.execute(sql_of("day", ("k", "n"), back, period_agg)).fetchall()
    edges = {}
    for day, *key, total, most, number in sorted(expected(days, rows, back, ("k", "n")), key=lambda row: row[0]):
        group = (floor(day, "week"), day.day % 2, *key)
        if period_agg == "last" or group not in edges:
            edges[group] = (day, *group, total, most, number)
    assert sorted(answer, key=str) == sorted(edges.values(), key=str)


@pytest.mark.parametrize("back", BACKS, ids=str)
@given(days=calendars, rows=facts)
def test_each_key_has_the_average_of_the_days_of_each_period_that_can_see_a_fact(connection, back, days, rows):
    """A day with a fact, but without a value, gives the period a row. It does not count as one of its days.

    Over all time, periods are whole.
    """
    fill(connection, days, rows)
    answer = connection.execute(sql_of("day", ("k", "n"), back, "average")).fetchall()
    groups = {}
    for day, *key, total, _, number in expected(days, rows, back, ("k", "n")):
        part = day.day % 2 if back else day.month
        totals, numbers = groups.setdefault((floor(day, "week"), part, *key), ([], []))
        totals.append(total)
        numbers.append(number)
    averages = [(*group, average(totals), average(numbers)) for group, (totals, numbers) in groups.items()]
    assert sorted(answer, key=str) == sorted(averages, key=str)


def average(values):
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if present else None


@pytest.fixture(scope="module", autouse=True)
def connection():
    with duckdb.connect() as made:
        made.execute("create table days (day timestamp)")
        made.execute("create table facts (happened timestamp, k text, n int, x int)")
        yield made


def fill(connection, days, rows):
    for table, values in (("days", [(day,) for day in days]), ("facts", rows)):
        connection.execute(f"delete from {table}")
        if values:
            texts = ["(" + ", ".join(literal(value) for value in row) + ")" for row in values]
            connection.execute(f"insert into {table} values {', '.join(texts)}")


@cache
def sql_of(grain, keys, back, period_agg=None):
    return dialects.speak(lower(seen(grain, keys, back, period_agg), dialects.named()), DUCKDB)


def seen(grain, keys, back, period_agg):
    time = Named("moment", truncated(column("day", "spine"), grain, None))
    whole = period_agg == "average" and back is None
    day_or_month = exp.Extract(this=exp.var("MONTH" if whole else "DAY"), expression=column("day", "spine"))
    periods = (
        Named("week", truncated(column("day", "spine"), "week", None)),
        Named("part", day_or_month if whole else exp.Mod(this=day_or_month, expression=exp.Literal.number(2))),
    )
    days = Derive(Scan(Relation("days"), "spine"), (time, *(periods if period_agg else ())))
    calendar = Calendar(days, "moment", keys, period_agg)
    named = (Named("moment", stepped(column("happened", "f"), grain)), *(Named(key, column(key, "f")) for key in keys))
    parts = tuple(Summary(name, name, column("x", "f")) for name in ("sum", "max", "count"))
    by_step = Aggregate(Scan(Relation("facts"), "f"), named, parts)
    total, most, number = (
        Windowed(f"{name}_x", "max" if name == "max" else "sum", name, back) for name in ("sum", "max", "count")
    )
    values = (total, number) if period_agg == "average" else (total, most, number)
    return AsOf(calendar, by_step, Window(1, grain), values)
