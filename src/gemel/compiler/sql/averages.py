"""The average of the days of a period without a row for each day: a fact counts once for each day that sees it.

Only of sums. No total is subtracted from another, as floats would leave residues.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sqlglot import exp

from gemel.compiler.plan.algebra import (
    Aggregate,
    AsOf,
    Calendar,
    Derive,
    Distinct,
    Join,
    Named,
    Scan,
    Stack,
    Summary,
    columns,
)
from gemel.compiler.plan.parts import in_sight
from gemel.compiler.question.expressions import column, equal, filled, free, mean, present


def average_in_windows(plan: AsOf, calendar: Calendar) -> Derive:
    """The averages of sums over windows, or to date.

    The days of a period that see a fact follow one another. A day counts with the last fact that it sees.

        January, 7 days   facts (Jan 2, 10), (Jan 5, 8)  ->  days 2 to 8, days 5 to 11: (10 * 7 + 8 * 7) / (3 + 7)
    """
    moment, keys, parts, used = calendar.moment, calendar.keys, _parts(plan), _names(plan, calendar)
    periods = [name for name in calendar.columns if name not in keys]
    seen, number, opens, closes, days = (_add(name, used) for name in ("seen", "number", "opens", "closes", "days"))
    own_days = {part: _add("own_days", used) for part in parts}
    spine = Scan(_numbered(calendar, periods, number), "spine")
    next_day = exp.Add(this=column(number, "spine"), expression=exp.Literal.number(1))
    on = in_sight(column(moment, "seen"), column(moment, "spine"), plan.values[0].back)
    windows = Aggregate(
        Join(_seen(plan, moment), spine, on, "inner"),
        (*_of("spine", periods), Named(seen, column(moment, "seen"))),
        (Summary(opens, "min", column(number, "spine")), Summary(closes, "max", next_day)),
    )
    groups = (*_of("windows", periods), *_of("facts", keys))
    start, end = column(opens, "windows"), column(closes, "windows")

    def days_until_next(part: str) -> exp.Expr:
        # The facts without a value follow one another, too: no day counts with them.
        alike = [group.value for group in groups] + _valued(plan, part, column(part, "facts"))
        following = _over(exp.Lead(this=start.copy()), alike, column(moment, "facts"))
        until = exp.Least(this=end.copy(), expressions=[exp.Coalesce(this=following, expressions=[end.copy()])])
        until.set("ignore_nulls", True)
        return exp.Sub(this=until, expression=start.copy())

    same = equal(column(moment, "facts"), column(seen, "windows"))
    met = Join(Scan(plan.facts, "facts"), Scan(windows, "windows"), same, "inner")
    own = (Named(days, exp.Sub(this=end, expression=start)), *_of("facts", parts))
    spans = Scan(Derive(met, (*groups, *own, *(Named(own_days[p], days_until_next(p)) for p in parts))), "spans")
    totals = []
    for part in parts:
        value = column(part, "spans")
        totals.append(Summary(part, "sum", exp.Mul(this=value, expression=column(days, "spans"))))
        where = next(iter(_valued(plan, part, value.copy())), None)
        totals.append(Summary(own_days[part], "sum", column(own_days[part], "spans"), where))
    summed = Aggregate(spans, _of("spans", (*periods, *keys)), tuple(totals))
    means = (Named(v.name, mean(column(v.value), column(own_days[v.value]))) for v in plan.values)
    return Derive(summed, (*(Named(name, column(name)) for name in calendar.columns), *means))


def average_to_date(plan: AsOf, calendar: Calendar) -> Derive:
    """The averages of sums over all time, if the days of each period follow one another.

    The total before a period counts for all of its days. A fact in the period counts for the days from then on.

        facts (Jan 30, 10), (Feb 20, 8)  ->  January: 10 * 2 / 2, February: (10 * 29 + 8 * 10) / 29
    """
    moment, keys, used = calendar.moment, calendar.keys, _names(plan, calendar)
    periods = [name for name in calendar.columns if name not in keys]
    seen, last, days = (_add(name, used) for name in ("seen", "last", "days"))
    total, own_days, before = (
        {part: _add(name, used) for part in _parts(plan)} for name in ("total", "own_days", "before")
    )
    entries = _entries(plan, calendar, seen=seen, last=last, days=days)
    same = equal(column(moment, "facts"), column(seen, "entries"))
    met = Join(Scan(plan.facts, "facts"), Scan(entries, "entries"), same, "inner")
    totals = []
    for part in total:
        value, rest = column(part, "facts"), column(days, "entries")
        where = next(iter(_valued(plan, part, value.copy())), None)
        totals.append(Summary(part, "sum", value))
        totals.append(Summary(total[part], "sum", exp.Mul(this=value.copy(), expression=rest)))
        totals.append(Summary(own_days[part], "max", rest.copy(), where))
    groups = (*_of("entries", periods), *_of("facts", keys), Named(moment, column(last, "entries")))
    by_period = Aggregate(met, groups, tuple(totals))

    since = Aggregate(Scan(by_period, "facts"), _of("facts", keys), (Summary(moment, "min", column(moment, "facts")),))
    begun = exp.GTE(this=column(moment, "periods"), expression=column(moment, "since"))
    every = Join(Scan(_whole(calendar, periods, days), "periods"), Scan(since, "since"), begun, "inner")
    names = [value.name for value in totals]
    of_periods = (*_of("periods", periods), *_of("since", keys), *_of("periods", (moment, days)))
    of_facts = (*_of("facts", (*calendar.columns, moment)), Named(days, exp.null()), *_of("facts", names))
    rows = Stack(
        (
            Derive(every, (*of_periods, *(Named(name, exp.null()) for name in names))),
            Derive(Scan(by_period, "facts"), of_facts),
        )
    )
    largest = (Summary(name, "max", column(name, "together")) for name in (days, *own_days.values()))
    sums = (Summary(name, "sum", column(name, "together")) for name in (*total, *total.values()))
    by_group = Aggregate(Scan(rows, "together"), _of("together", (*calendar.columns, moment)), (*largest, *sums))
    kept = (Named(name, column(name)) for name in (*calendar.columns, days, *own_days.values(), *total.values()))
    until = (
        Named(before[part], _earlier(column(part), [column(key) for key in keys], column(moment))) for part in total
    )
    totals_before = Scan(Derive(by_group, (*kept, *until)), "totals")

    def average(part: str) -> exp.Expr:
        earlier = column(before[part], "totals")
        of_earlier = filled(exp.Mul(this=earlier, expression=column(days, "totals")), 0)
        whole = exp.Add(this=of_earlier, expression=filled(column(total[part], "totals"), 0))
        count = exp.case().when(present(earlier.copy()), column(days, "totals")).else_(column(own_days[part], "totals"))
        return mean(whole, count)

    means = (Named(value.name, average(value.value)) for value in plan.values)
    return Derive(totals_before, (*_of("totals", calendar.columns), *means))


def _entries(plan: AsOf, calendar: Calendar, *, seen: str, last: str, days: str) -> Derive:
    """For each day of the facts, `seen`, the first period that sees it: its last day, and the number of days left."""
    moment = calendar.moment
    periods = [name for name in columns(calendar.days) if name != moment]
    numbered = _numbered(calendar, periods, days, desc=True)
    end = exp.Window(this=exp.Max(this=column(moment)), partition_by=[column(name) for name in periods])
    spine = Scan(replace(numbered, outputs=(*numbered.outputs, Named(last, end))), "spine")
    first = exp.LTE(this=column(moment, "seen"), expression=column(moment, "spine"))
    shown = (*_of("spine", (*periods, last, days)), Named(seen, column(moment, "seen")))
    return Derive(Join(_seen(plan, moment), spine, first, "asof"), shown)


def _whole(calendar: Calendar, periods: Sequence[str], days: str) -> Aggregate:
    """The periods with their last day and the number of their days."""
    last = Summary(calendar.moment, "max", column(calendar.moment, "spine"))
    number = Summary(days, "count", exp.Literal.number(1))
    return Aggregate(Scan(calendar.days, "spine"), _of("spine", periods), (last, number))


def _earlier(value: exp.Expr, keys: Sequence[exp.Expr], at: exp.Expr) -> exp.Window:
    """The sum of the values before a row."""
    window = _over(exp.Sum(this=value), keys, at)
    rows = {"kind": "ROWS", "start": "UNBOUNDED", "start_side": "PRECEDING"}
    window.set("spec", exp.WindowSpec(**rows, end=exp.Literal.number(1), end_side="PRECEDING"))
    return window


def _parts(plan: AsOf) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value.value for value in plan.values))


def _names(plan: AsOf, calendar: Calendar) -> set[str]:
    return {calendar.moment, *calendar.columns, *_parts(plan), *(value.name for value in plan.values)}


def _add(name: str, used: set[str]) -> str:
    added = free(name, used)
    used.add(added)
    return added


def _of(table: str, names: Iterable[str]) -> tuple[Named, ...]:
    return tuple(Named(name, column(name, table)) for name in names)


def _numbered(calendar: Calendar, periods: Sequence[str], number: str, *, desc: bool = False) -> Derive:
    """The days with their numbers in their period, from 1, or counted from its end."""
    numbers = _over(exp.RowNumber(), [column(name) for name in periods], column(calendar.moment), desc=desc)
    shown = (Named(name, column(name)) for name in columns(calendar.days))
    return Derive(calendar.days, (*shown, Named(number, numbers)))


def _valued(plan: AsOf, part: str, value: exp.Expr) -> list[exp.Expr]:
    """The condition for the value of a part not to be NULL; none for a count, which never is."""
    always = isinstance(plan.facts, Aggregate) and any(
        value.name == part and value.function == "count" and value.where is None for value in plan.facts.values
    )
    return [] if always else [present(value)]


def _seen(plan: AsOf, moment: str) -> Scan:
    return Scan(Distinct(Scan(plan.facts, "facts"), (Named(moment, column(moment, "facts")),)), "seen")


def _over(function: exp.Expr, alike: Sequence[exp.Expr], at: exp.Expr, *, desc: bool = False) -> exp.Window:
    order = exp.Order(expressions=[exp.Ordered(this=at, desc=desc or None, nulls_first=False)])
    return exp.Window(this=function, partition_by=[each.copy() for each in alike], order=order)
