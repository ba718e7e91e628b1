"""The days of a calendar with the facts in their windows, by the joins that engines are fast at."""

from dataclasses import replace

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
from gemel.compiler.sql.averages import average_in_windows, average_to_date
from gemel.spec.time import Window, finer


def spelled(plan: AsOf, calendar: Calendar) -> Plan:
    """The same result, from nodes that have SQL of their own.

    Engines are fastest at joining by equality. Inequalities compare each fact with each day, which are few only if
    there are no keys.
    """
    many = calendar.keys or finer(plan.step.unit, "day")
    match plan.values[0].back:
        case None if calendar.period_agg == "average":
            return average_to_date(plan, calendar)
        case _ if calendar.period_agg == "average":
            return average_in_windows(plan, calendar)
        case None if calendar.period_agg == "last":
            return _running_at_last_days(plan, calendar)
        case None if calendar.period_agg == "first":
            return _running_at_first_days(plan, calendar)
        case None if many:
            return _running(plan, calendar)
        case _ if calendar.period_agg:
            return _at_edges(plan, calendar)
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


def _at_edges(plan: AsOf, calendar: Calendar) -> Aggregate:
    """For each period and key the first or last day that has a fact in its window; then the facts in that window."""
    moment, keys, back = calendar.moment, calendar.keys, plan.values[0].back
    periods = [name for name in columns(calendar.days) if name != moment]
    facts = Distinct(Scan(plan.facts, "facts"), (Named(moment, column(moment, "facts")),))
    windows, seen = _edges(calendar, facts, in_sight(column(moment, "seen"), column(moment, "spine"), back))
    values = tuple(dict.fromkeys(value.value for value in plan.values))
    at = free("moment", (moment, *periods, *keys, *values))
    groups = [
        *(Named(name, column(name, "windows")) for name in periods),
        *(Named(k, column(k, "facts")) for k in keys),
    ]
    edge = exp.Window(
        this=_EDGES[calendar.period_agg or "first"](this=column(moment, "windows")),
        partition_by=[key.value.copy() for key in groups],
    )
    met = Join(
        Scan(plan.facts, "facts"),
        Scan(windows, "windows"),
        equal(column(moment, "facts"), column(seen, "windows")),
        "inner",
    )
    own = (Named(at, column(moment, "facts")), *(Named(value, column(value, "facts")) for value in values))
    moments = Scan(Derive(met, (Named(moment, edge), *groups, *own)), "moments")
    shown = in_sight(column(at, "moments"), column(moment, "moments"), back)
    return Aggregate(
        Filter(moments, shown),
        tuple(Named(name, column(name, "moments")) for name in (moment, *periods, *keys)),
        tuple(Summary(v.name, v.function, column(v.value, "moments")) for v in plan.values),
    )


_EDGES = {"first": exp.Min, "last": exp.Max}


def _edges(calendar: Calendar, facts: Plan, on: exp.Expr) -> tuple[Aggregate, str]:
    """For each day of `facts` and each period the first or last day that sees it, and the column of the former."""
    moment = calendar.moment
    periods = [name for name in columns(calendar.days) if name != moment]
    seen = free("seen", columns(calendar.days))
    keys = (*(Named(name, column(name, "spine")) for name in periods), Named(seen, column(moment, "seen")))
    edge = Summary(moment, "min" if calendar.period_agg == "first" else "max", column(moment, "spine"))
    return Aggregate(Join(Scan(facts, "seen"), Scan(calendar.days, "spine"), on, "inner"), keys, (edge,)), seen


def _running_at_last_days(plan: AsOf, calendar: Calendar) -> Plan:
    """Running totals at the last day of each period, of facts summed up to these days."""
    moment, keys = calendar.moment, calendar.keys
    periods = tuple(Named(name, column(name, "spine")) for name in columns(calendar.days) if name != moment)
    last = Aggregate(Scan(calendar.days, "spine"), periods, (Summary(moment, "max", column(moment, "spine")),))
    facts = Distinct(Scan(plan.facts, "facts"), (Named(moment, column(moment, "facts")),))
    seen = free("seen", columns(calendar.days))
    later = exp.GTE(this=column(moment, "edges"), expression=column(moment, "seen"))
    following = Aggregate(
        Join(Scan(facts, "seen"), Scan(last, "edges"), later, "inner"),
        (Named(seen, column(moment, "seen")),),
        (Summary(moment, "min", column(moment, "edges")),),
    )
    same = equal(column(moment, "facts"), column(seen, "following"))
    groups = (Named(moment, column(moment, "following")), *(Named(key, column(key, "facts")) for key in keys))
    functions = {value.value: value.function for value in plan.values}
    by_edge = Aggregate(
        Join(Scan(plan.facts, "facts"), Scan(following, "following"), same, "inner"),
        groups,
        tuple(Summary(part, function, column(part, "facts")) for part, function in functions.items()),
    )
    rows = _running(replace(plan, facts=by_edge), replace(calendar, days=last))
    return Derive(rows, tuple(Named(name, column(name)) for name in plan.columns))


def _running_at_first_days(plan: AsOf, calendar: Calendar) -> Plan:
    """Running totals at the first day of each period. Each key has all days from its first fact on, so its first day
    in a period depends only on the day of that fact."""
    moment = calendar.moment
    since = _since(plan, calendar)
    starts = Distinct(Scan(since, "since"), (Named(moment, column(moment, "since")),))
    on = exp.GTE(this=column(moment, "spine"), expression=column(moment, "seen"))
    edges, seen = _edges(calendar, starts, on)
    same = equal(column(seen, "edges"), column(moment, "since"))
    return _totals(plan, calendar, Scan(edges, "edges"), since, same)


def _running(plan: AsOf, calendar: Calendar) -> Plan:
    """Running totals over facts and days together, from each key's first fact on. Only rows of days are shown."""
    moment = calendar.moment
    begun = exp.GTE(this=column(moment, "spine"), expression=column(moment, "since"))
    return _totals(plan, calendar, Scan(calendar.days, "spine"), _since(plan, calendar), begun)


def _since(plan: AsOf, calendar: Calendar) -> Aggregate:
    """The day of each key's first fact."""
    first = Summary(calendar.moment, "min", column(calendar.moment, "facts"))
    keys = tuple(Named(key, column(key, "facts")) for key in calendar.keys)
    return Aggregate(Scan(plan.facts, "facts"), keys, (first,))


def _totals(plan: AsOf, calendar: Calendar, spine: Scan, since: Aggregate, on: exp.Expr) -> Plan:
    """Running totals at the days of `spine` that each key meets `on` the day of its first fact."""
    moment, days, keys, values = calendar.moment, columns(calendar.days), calendar.keys, plan.values
    parts = tuple(dict.fromkeys(value.value for value in values))
    at = free("moment", (*days, *keys, *parts))
    shown = (
        *(Named(day, column(day, spine.alias)) for day in days),
        *(Named(key, column(key, "since")) for key in keys),
        Named(at, column(moment, spine.alias)),
        *(Named(part, exp.null()) for part in parts),
    )
    facts = (
        *(Named(day, exp.null()) for day in days),
        *(Named(key, column(key, "facts")) for key in keys),
        Named(at, column(moment, "facts")),
        *(Named(part, column(part, "facts")) for part in parts),
    )
    moments = Stack(
        (Derive(Join(spine, Scan(since, "since"), on, "inner"), shown), Derive(Scan(plan.facts, "facts"), facts))
    )
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
