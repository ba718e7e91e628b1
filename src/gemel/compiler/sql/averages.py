"""The average of the days of a period without a row for each day: a fact counts once for each day that sees it.

Only of sums. No total is subtracted from another, as floats would leave residues.
"""

from collections.abc import Iterable, Sequence

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
    Summary,
    columns,
)
from gemel.compiler.plan.parts import in_sight
from gemel.compiler.question.expressions import column, conjunction, equal, filled, free, mean, present


def average_in_windows(plan: AsOf, calendar: Calendar) -> Derive:
    """The averages of sums over windows, or to date.

    The days of a period that see a fact follow one another. A day counts with the last fact that it sees.

        January, 7 days   facts (Jan 2, 10), (Jan 5, 8)  ->  days 2 to 8, days 5 to 11: (10 * 7 + 8 * 7) / (3 + 7)
    """
    moment, keys, parts, used = calendar.moment, calendar.keys, _parts(plan), _names(plan, calendar)
    periods = [name for name in calendar.columns if name not in keys]
    seen, number, period, opens, closes, days = (
        _add(name, used) for name in ("seen", "number", "period", "opens", "closes", "days")
    )
    own_days = {part: _add("own_days", used) for part in parts}
    spine = Scan(_numbered(calendar, periods, number, period), "spine")
    next_day = exp.Add(this=column(number, "spine"), expression=exp.Literal.number(1))
    on = in_sight(column(moment, "seen"), column(moment, "spine"), plan.values[0].back)
    windows = Aggregate(
        Join(_seen(plan, moment), spine, on, "inner"),
        (*_of("spine", (*periods, period)), Named(seen, column(moment, "seen"))),
        (Summary(opens, "min", column(number, "spine")), Summary(closes, "max", next_day)),
    )
    groups = (*_of("windows", periods), *_of("facts", keys))
    start, end = column(opens, "windows"), column(closes, "windows")

    def days_until_next(part: str) -> exp.Expr:
        # The facts without a value follow one another, too: no day counts with them.
        by_number = [column(key, "facts") for key in keys] + [column(period, "windows")]
        alike = by_number + _valued(plan, part, column(part, "facts"))
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

    The total before a period counts for all of its days. A fact in the period counts for the days from then on. The
    periods from there to that of a key's next fact have the total itself.

        facts (Jan 30, 10), (Mar 20, 8)  ->  January: 10 * 2 / 2, February: 10, March: (10 * 31 + 8 * 12) / 31
    """
    moment, keys, used = calendar.moment, calendar.keys, _names(plan, calendar)
    periods = [name for name in calendar.columns if name not in keys]
    seen, days, period, following = (_add(name, used) for name in ("seen", "days", "period", "next_period"))
    total, own_days, before, until = (
        {part: _add(name, used) for part in _parts(plan)} for name in ("total", "own_days", "before", "until")
    )
    same = equal(column(moment, "facts"), column(seen, "entries"))
    entries = Scan(_entries(plan, calendar, seen=seen, period=period, days=days), "entries")
    totals = []
    for part in total:
        value, rest = column(part, "facts"), column(days, "entries")
        where = next(iter(_valued(plan, part, value.copy())), None)
        totals.append(Summary(part, "sum", value))
        totals.append(Summary(total[part], "sum", exp.Mul(this=value.copy(), expression=rest)))
        totals.append(Summary(own_days[part], "max", rest.copy(), where))
    groups = (*_of("entries", (period,)), *_of("facts", keys))
    by_period = Aggregate(Join(Scan(plan.facts, "facts"), entries, same, "inner"), groups, tuple(totals))

    alike, at = [column(key, "facts") for key in keys], column(period, "facts")
    later = _over(exp.Lead(this=at.copy()), alike, at, desc=True)
    sums = []
    for part in total:
        value = column(part, "facts")
        sums.append(Named(before[part], _earlier(value, alike, at)))
        sums.append(Named(until[part], _over(exp.Sum(this=value.copy()), alike, at, desc=True)))
    kept = _of("facts", (period, *keys, *total.values(), *own_days.values()))
    running = Scan(Derive(Scan(by_period, "facts"), (*kept, Named(following, filled(later, 0)), *sums)), "totals")
    shown = conjunction(
        [
            exp.LTE(this=column(period, "periods"), expression=column(period, "totals")),
            exp.GT(this=column(period, "periods"), expression=column(following, "totals")),
        ]
    )
    met = Join(running, Scan(_whole(calendar, periods, period, days), "periods"), shown, "inner")

    def average(part: str) -> exp.Expr:
        earlier, every_day = column(before[part], "totals"), column(days, "periods")
        of_earlier = filled(exp.Mul(this=earlier, expression=every_day), 0)
        whole = exp.Add(this=of_earlier, expression=filled(column(total[part], "totals"), 0))
        count = exp.case().when(present(earlier.copy()), every_day.copy()).else_(column(own_days[part], "totals"))
        own = equal(column(period, "periods"), column(period, "totals"))
        return exp.case().when(own, mean(whole, count)).else_(column(until[part], "totals"))

    means = (Named(value.name, average(value.value)) for value in plan.values)
    named = (Named(name, column(name, "totals" if name in keys else "periods")) for name in calendar.columns)
    return Derive(met, (*named, *means))


def _entries(plan: AsOf, calendar: Calendar, *, seen: str, period: str, days: str) -> Derive:
    """For each day of the facts, `seen`, the first period that sees it, and the number of days left in it."""
    moment = calendar.moment
    periods = [name for name in columns(calendar.days) if name != moment]
    spine = Scan(_numbered(calendar, periods, days, period, desc=True), "spine")
    first = exp.LTE(this=column(moment, "seen"), expression=column(moment, "spine"))
    shown = (*_of("spine", (period, days)), Named(seen, column(moment, "seen")))
    return Derive(Join(_seen(plan, moment), spine, first, "asof"), shown)


def _whole(calendar: Calendar, periods: Sequence[str], period: str, days: str) -> Derive:
    """The periods with their numbers and the numbers of their days."""
    counted = (Summary(days, "count", exp.Literal.number(1)),)
    by_period = Aggregate(Scan(calendar.days, "spine"), _of("spine", periods), counted)
    shown = (Named(name, column(name)) for name in (*periods, days))
    return Derive(by_period, (*shown, Named(period, _rank(periods, desc=True))))


def _earlier(value: exp.Expr, keys: Sequence[exp.Expr], at: exp.Expr) -> exp.Window:
    """The sum of the values before a row, whose numbers are larger."""
    window = _over(exp.Sum(this=value), keys, at, desc=True)
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


def _numbered(calendar: Calendar, periods: Sequence[str], number: str, period: str, *, desc: bool = False) -> Derive:
    """The days with their numbers in their period, from 1, or counted from its end; and the numbers of the periods."""
    numbers = _over(exp.RowNumber(), [column(name) for name in periods], column(calendar.moment), desc=desc)
    shown = (Named(name, column(name)) for name in columns(calendar.days))
    return Derive(calendar.days, (*shown, Named(number, _short(numbers)), Named(period, _rank(periods, desc=desc))))


def _rank(periods: Sequence[str], *, desc: bool) -> exp.Expr:
    """The number of a period, from 1, or counted from the last one."""
    order = [exp.Ordered(this=column(name), desc=desc or None, nulls_first=False) for name in periods]
    return _short(exp.Window(this=exp.DenseRank(), order=exp.Order(expressions=order)))


def _short(number: exp.Expr) -> exp.Expr:
    # Engines sort many rows by it.
    return exp.cast(number, "int")


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
