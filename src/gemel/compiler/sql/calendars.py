"""The days of a calendar with the facts in their windows, by the joins that engines are fast at."""

from sqlglot import exp

from gemel.compiler.plan.algebra import (
    Aggregate,
    AsOf,
    Calendar,
    Derive,
    Distinct,
    Filter,
    Join,
    Named,
    Plan,
    Scan,
    Stack,
    Summary,
    Windowed,
    columns,
)
from gemel.compiler.plan.parts import in_sight
from gemel.compiler.question.expressions import column, equal, free, present
from gemel.spec.time import Window, finer


def spelled(plan: AsOf, calendar: Calendar) -> Plan:
    """The same result, from nodes that have SQL of their own.

    Engines are fastest at joining by equality. Inequalities compare each fact with each day, which are few only if
    there are no keys.
    """
    many = calendar.keys or finer(plan.step.unit, "day")
    match plan.values[0].back:
        case None if many:
            return _running(plan, calendar)
        case Window() if calendar.keys:
            return _by_windows(plan, calendar)
        case back:
            on = in_sight(column(calendar.moment, "facts"), column(calendar.moment, "spine"), back)
            return _met(plan, calendar, Scan(calendar.days, "spine"), on)


def _met(plan: AsOf, calendar: Calendar, days: Scan, on: exp.Expr) -> Aggregate:
    shown = [Named(name, column(name, days.alias)) for name in columns(calendar.days)]
    keys = [Named(key, column(key, "facts")) for key in calendar.keys]
    gathered = [Summary(v.name, v.function, column(v.value, "facts")) for v in plan.values]
    return Aggregate(Join(Scan(plan.facts, "facts"), days, on, "inner"), (*shown, *keys), tuple(gathered))


def _by_windows(plan: AsOf, calendar: Calendar) -> Aggregate:
    """First the days in each day's window, for all keys together; then the facts of those days."""
    moment, shown = calendar.moment, columns(calendar.days)
    seen = free("seen", shown)
    days_of_facts = Distinct(Scan(plan.facts, "facts"), (Named(moment, column(moment, "facts")),))
    on = in_sight(column(moment, "seen"), column(moment, "spine"), plan.values[0].back)
    # The rows are distinct already. DISTINCT keeps the engine from joining all facts by the inequalities.
    windows = Distinct(
        Join(Scan(days_of_facts, "seen"), Scan(calendar.days, "spine"), on, "inner"),
        (*(Named(name, column(name, "spine")) for name in shown), Named(seen, column(moment, "seen"))),
    )
    return _met(plan, calendar, Scan(windows, "windows"), equal(column(moment, "facts"), column(seen, "windows")))


def _running(plan: AsOf, calendar: Calendar) -> Plan:
    """Running totals over facts and days together, from each key's first fact on. Only rows of days are shown."""
    moment, days, keys, values = calendar.moment, columns(calendar.days), calendar.keys, plan.values
    first = Summary(moment, "min", column(moment, "facts"))
    since = Aggregate(Scan(plan.facts, "facts"), tuple(Named(key, column(key, "facts")) for key in keys), (first,))
    begun = exp.GTE(this=column(moment, "spine"), expression=column(moment, "since"))
    parts = tuple(dict.fromkeys(value.value for value in values))
    at = free("moment", (*days, *keys, *parts))
    shown = (
        *(Named(day, column(day, "spine")) for day in days),
        *(Named(key, column(key, "since")) for key in keys),
        Named(at, column(moment, "spine")),
        *(Named(part, exp.null()) for part in parts),
    )
    facts = (
        *(Named(day, exp.null()) for day in days),
        *(Named(key, column(key, "facts")) for key in keys),
        Named(at, column(moment, "facts")),
        *(Named(part, column(part, "facts")) for part in parts),
    )
    begun_days = Join(Scan(calendar.days, "spine"), Scan(since, "since"), begun, "inner")
    moments = Stack((Derive(begun_days, shown), Derive(Scan(plan.facts, "facts"), facts)))
    totals = Derive(
        Scan(moments, "moments"),
        (
            *(Named(name, column(name, "moments")) for name in (*days, *keys)),
            *(Named(value.name, _until_now(value, keys, at)) for value in values),
        ),
    )
    rows = Filter(Scan(totals, "totals"), present(column(moment, "totals")))
    return Derive(rows, tuple(Named(name, column(name, "totals")) for name in totals.columns))


def _until_now(value: Windowed, keys: tuple[str, ...], at: str) -> exp.Window:
    function = {"sum": exp.Sum, "min": exp.Min, "max": exp.Max}[value.function]
    return exp.Window(
        this=function(this=column(value.value, "moments")),
        partition_by=[column(key, "moments") for key in keys],
        order=exp.Order(expressions=[exp.Ordered(this=column(at, "moments"), nulls_first=False)]),
    )
