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
from gemel.compiler.question.expressions import column, equal, free, mean, present


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
        alike = [group.value for group in groups] + _valued(plan, part, "facts")
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
        where = next(iter(_valued(plan, part, "spans")), None)
        totals.append(Summary(own_days[part], "sum", column(own_days[part], "spans"), where))
    summed = Aggregate(spans, _of("spans", (*periods, *keys)), tuple(totals))
    means = (Named(v.name, mean(column(v.value), column(own_days[v.value]))) for v in plan.values)
    return Derive(summed, (*(Named(name, column(name)) for name in calendar.columns), *means))


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


def _numbered(calendar: Calendar, periods: Sequence[str], number: str) -> Derive:
    """The days with their numbers in their period, from 1."""
    numbers = _over(exp.RowNumber(), [column(name) for name in periods], column(calendar.moment))
    shown = (Named(name, column(name)) for name in columns(calendar.days))
    return Derive(calendar.days, (*shown, Named(number, numbers)))


def _valued(plan: AsOf, part: str, table: str) -> list[exp.Expr]:
    """The condition for a part to have a value; none for a count, which always has one."""
    always = isinstance(plan.facts, Aggregate) and any(
        value.name == part and value.function == "count" and value.where is None for value in plan.facts.values
    )
    return [] if always else [present(column(part, table))]


def _seen(plan: AsOf, moment: str) -> Scan:
    return Scan(Distinct(Scan(plan.facts, "facts"), (Named(moment, column(moment, "facts")),)), "seen")


def _over(function: exp.Expr, alike: Sequence[exp.Expr], at: exp.Expr) -> exp.Window:
    order = exp.Order(expressions=[exp.Ordered(this=at, nulls_first=False)])
    return exp.Window(this=function, partition_by=[each.copy() for each in alike], order=order)
