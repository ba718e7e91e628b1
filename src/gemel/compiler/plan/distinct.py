"""Distinct values over time: each comes into sight with a fact, and goes when a day's window has lost its last one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from gemel.compiler.names.graph import Attribute
from gemel.compiler.names.terms import Leaf, PerEntity
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
from gemel.compiler.plan.facts import Facts, filtered, stepped, truncated
from gemel.compiler.question.expressions import column, conjunction, equal, free, interval, present
from gemel.spec.time import Window, finer, is_standard

Back = Window | str | None
"""How far back a day sees: over a window, to the start of a grain's period, or over all time."""

UNEVEN = frozenset({"month", "quarter", "year"})
"""Units that start on the first of a month, and of which one can be shorter than another."""


def is_sighted(leaf: Leaf, base: str, back: Back) -> bool:
    """Whether a leaf counts distinct values, and a fact tells when a window loses it.

    An hour of yesterday does not: where clocks are put back, two hours of today look at it.
    """
    if leaf.measure.agg != "count_distinct" or leaf.measure.non_additive:
        return False
    match back:
        case Window(unit=unit):
            return is_standard(unit) and (finer(unit, "day") or not finer(base, "day"))
        case _:
            return back is None or is_standard(back)


def plan_sightings(
    facts: Facts,
    leaf: Leaf,
    name: str,
    calendar: Calendar,
    others: Sequence[Attribute | PerEntity],
    base: str,
    back: Back,
) -> Derive:
    """A count of the distinct values that each day of a calendar can see; `others` are its keys, of the facts.

    On any day it is the number of those that came, less the number of those that went. NULL comes and goes as well: it
    is no value, but a day that sees nothing else has a row, with 0.
    """
    groups = [Named(key, facts.operand(operand)) for key, operand in zip(calendar.keys, others, strict=True)]
    names = Names(name, *(free(wanted, (*calendar.columns, name)) for wanted in ("value", "opens", "closes", "seen")))
    keys = (*groups, Named(names.value, facts.measured(leaf)))
    moment = stepped(facts.moment(), base)
    rows = filtered(facts.where(leaf.filters, leaf.span), [present(moment)])
    spans = Scan(in_spans(rows, keys, moment, back, names), "spans")
    came = _changes(spans, calendar, names.opens, names)
    if back is None:
        # Nothing ever goes, so no day has lost all that it saw.
        values = replace(came, values=came.values[:1])
        gathered: Plan = AsOf(calendar, values, Window(1, base), names.sums[:1])
        return _on_days(gathered, calendar, names)
    went = _changes(spans, calendar, names.closes, names)
    less = [Named(c, exp.Neg(this=column(c)) if c in (name, names.seen) else column(c)) for c in went.columns]
    changes = Stack((came, Derive(went, tuple(less))), "changes")
    if calendar.keys:
        return _by_levels(changes, calendar, names)
    gathered = Filter(AsOf(calendar, changes, Window(1, base), names.sums), names.some())
    return _on_days(gathered, calendar, names)


@dataclass(frozen=True, slots=True)
class Names:
    """The columns: the count of distinct values, a value, the ends of what it is in sight, the count of sightings."""

    count: str
    value: str
    opens: str
    closes: str
    seen: str

    @property
    def sums(self) -> tuple[Windowed, ...]:
        return (Windowed(self.count, "sum", self.count), Windowed(self.seen, "sum", self.seen))

    def some(self, table: str | None = None) -> exp.Expr:
        return exp.GT(this=column(self.seen, table), expression=exp.Literal.number(0))

    def counted(self, table: str | None = None) -> Named:
        """The count as a count is, of the type of one, not of a sum."""
        return Named(self.count, exp.cast(column(self.count, table), exp.DataType.Type.BIGINT))


def in_spans(rows: Plan, keys: tuple[Named, ...], moment: exp.Expr, back: Back, names: Names) -> Plan:
    """From when to when each value of each group is in sight, in spans that do not overlap.

    a window of 7 days   facts (ann, Jan 1), (ann, Jan 3)   ->  (ann, Jan 1, Jan 3), (ann, Jan 3, Jan 10)
    """
    first = Summary(names.opens, "min", moment)
    match back:
        case None:
            return Aggregate(rows, keys, (first,))
        case Window():
            opens, closes = Named(names.opens, moment), Named(names.closes, _lost(moment, back))
            sightings = Scan(Derive(rows, (*keys, opens, closes)), "sightings")
            same = tuple(Named(key.name, column(key.name, "sightings")) for key in keys)
            start, end = column(names.opens, "sightings"), column(names.closes, "sightings")
            again = _over(exp.Lead(this=start), [key.value for key in same], start)
            # Seen twice on one day, a value opens an empty span. Some engines' LEAST is NULL where a value of it is.
            first_end = exp.Least(
                this=end, expressions=[exp.Coalesce(this=again, expressions=[end])], ignore_nulls=True
            )
            return Derive(sightings, (*same, Named(names.opens, start), Named(names.closes, first_end)))
        case _:
            over = exp.Add(this=truncated(moment.copy(), back, None), expression=interval(Window(1, back)))
            return Aggregate(rows, (*keys, Named(names.closes, over)), (first,))


def _changes(spans: Scan, calendar: Calendar, at: str, names: Names) -> Aggregate:
    """How many values, and how many sightings with NULL's, have an end `at` which moment."""
    by = (Named(calendar.moment, column(at, "spans")), *(Named(key, column(key, "spans")) for key in calendar.keys))
    counted = Summary(names.count, "count", column(names.value, "spans"))
    return Aggregate(spans, by, (counted, Summary(names.seen, "count", exp.Literal.number(1))))


def _on_days(gathered: Plan, calendar: Calendar, names: Names) -> Derive:
    return Derive(gathered, (*(Named(c, column(c)) for c in calendar.columns), names.counted()))


def _by_levels(changes: Stack, calendar: Calendar, names: Names) -> Derive:
    """From each change to the next, a group's count stays as it is: those days show it.

    There are few different stretches of time, whatever the groups. The days of each are settled first, as engines join
    by inequalities slowly.
    """
    moment = column(calendar.moment, "changes")
    groups = [Named(key, column(key, "changes")) for key in calendar.keys]
    sums = [Summary(c, "sum", column(c, "changes")) for c in (names.count, names.seen)]
    by_moment = Aggregate(Scan(changes, "changes"), (*groups, Named(calendar.moment, moment)), tuple(sums))
    same, at = [column(key) for key in calendar.keys], column(calendar.moment)
    running = [Named(c, _over(exp.Sum(this=column(c)), same, at)) for c in (names.count, names.seen)]
    until = Named(names.closes, _over(exp.Lead(this=at), same, at))
    kept = [Named(key, column(key)) for key in calendar.keys]
    levels = Scan(Derive(by_moment, (*kept, Named(names.opens, at), until, *running)), "levels")

    ends = (names.opens, names.closes)
    in_sight = Filter(levels, names.some("levels"))
    stretches = Distinct(in_sight, tuple(Named(end, column(end, "levels")) for end in ends))
    days = columns(calendar.days)
    day = column(calendar.moment, "spine")
    inside = exp.and_(
        exp.GTE(this=day, expression=column(names.opens, "periods")),
        exp.LT(this=day.copy(), expression=column(names.closes, "periods")),
    )
    # They are distinct already. It keeps the engine from joining the levels, with all their keys, by the inequalities.
    windows = Distinct(
        Join(Scan(stretches, "periods"), Scan(calendar.days, "spine"), inside, "inner"),
        (*(Named(c, column(c, "spine")) for c in days), *(Named(end, column(end, "periods")) for end in ends)),
    )
    on = conjunction([equal(column(end, "levels"), column(end, "windows")) for end in ends])
    met = Filter(Join(levels, Scan(windows, "windows"), on, "inner"), names.some("levels"))
    shown = [Named(c, column(c, "windows")) for c in days] + [
        Named(key, column(key, "levels")) for key in calendar.keys
    ]
    return Derive(met, (*shown, names.counted("levels")))


def _over(function: exp.Expr, same: Sequence[exp.Expr], at: exp.Expr) -> exp.Window:
    order = exp.Order(expressions=[exp.Ordered(this=at, nulls_first=False)])
    return exp.Window(this=function, partition_by=list(same), order=order)


def _lost(moment: exp.Expr, window: Window) -> exp.Expr:
    """The first moment whose window does not hold a moment any more.

    A month after January 31 that is not February 28, which looks back to January 28, but March 1.
    """
    later = exp.Add(this=moment.copy(), expression=interval(window))
    if window.unit not in UNEVEN:
        return later
    before = exp.Sub(this=later.copy(), expression=interval(window))
    month = Window(1, "month")
    next_month = exp.Add(this=truncated(later.copy(), month.unit, None), expression=interval(month))
    return exp.case().when(exp.LT(this=before, expression=moment.copy()), next_month).else_(later)
