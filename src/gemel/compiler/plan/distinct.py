"""Counts of distinct values over time: a value enters a window with a fact, and leaves it after its last fact."""

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
"""How far back a day looks: over a window, to the start of a grain's period, or over all time."""

UNEVEN = frozenset({"month", "quarter", "year"})
"""Units that start on the first of a month, and that can differ in length."""


def is_sighted(leaf: Leaf, base: str, back: Back) -> bool:
    """Whether a leaf counts distinct values, and a fact alone determines when a window loses it.

    This is not so for a window of days over steps of hours: when clocks are put back, two hours of today look back to
    the same hour of yesterday.
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
    """The number of distinct values in the window of each day of a calendar; `others` are the facts' attributes for
    the calendar's keys.

    On each day it is the number of values that entered, less the number that left. NULL enters and leaves as well: it
    does not count as a value, but a day whose window has only NULLs has a row, with 0.
    """
    groups = [Named(key, facts.operand(operand)) for key, operand in zip(calendar.keys, others, strict=True)]
    names = Names(name, *(free(wanted, (*calendar.columns, name)) for wanted in ("value", "opens", "closes", "seen")))
    keys = (*groups, Named(names.value, facts.measured(leaf)))
    moment = stepped(facts.moment(), base)
    rows = filtered(facts.where(leaf.filters, leaf.span), [present(moment)])
    spans = Scan(in_spans(rows, keys, moment, back, names), "spans")
    came = _changes(spans, calendar, names.opens, names)
    if back is None:
        # Nothing ever leaves, so no window becomes empty again.
        values = replace(came, values=came.values[:1])
        gathered: Plan = AsOf(calendar, values, Window(1, base), names.sums[:1])
        return _on_days(gathered, calendar, names)
    went = _changes(spans, calendar, names.closes, names)
    less = [Named(c, exp.Neg(this=column(c)) if c in (name, names.sightings) else column(c)) for c in went.columns]
    changes = Stack((came, Derive(went, tuple(less))), "changes")
    if calendar.keys:
        return _by_levels(changes, calendar, names)
    gathered = Filter(AsOf(calendar, changes, Window(1, base), names.sums), names.some())
    return _on_days(gathered, calendar, names)


@dataclass(frozen=True, slots=True)
class Names:
    """Names of columns: the count of distinct values, a value, the two ends of a span, the count of sightings."""

    count: str
    value: str
    opens: str
    closes: str
    sightings: str

    @property
    def sums(self) -> tuple[Windowed, ...]:
        return (Windowed(self.count, "sum", self.count), Windowed(self.sightings, "sum", self.sightings))

    def some(self, table: str | None = None) -> exp.Expr:
        return exp.GT(this=column(self.sightings, table), expression=exp.Literal.number(0))

    def counted(self, table: str | None = None) -> Named:
        """The count with the type of a count, rather than of a sum."""
        return Named(self.count, exp.cast(column(self.count, table), exp.DataType.Type.BIGINT))


def in_spans(rows: Plan, keys: tuple[Named, ...], moment: exp.Expr, back: Back, names: Names) -> Plan:
    """The spans of time in which each value of each group is in a window. They do not overlap.

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
            # A value seen twice on one day opens an empty span. LEAST of some engines is NULL if any argument is.
            first_end = exp.Least(
                this=end, expressions=[exp.Coalesce(this=again, expressions=[end])], ignore_nulls=True
            )
            return Derive(sightings, (*same, Named(names.opens, start), Named(names.closes, first_end)))
        case _:
            over = exp.Add(this=truncated(moment.copy(), back, None), expression=interval(Window(1, back)))
            return Aggregate(rows, (*keys, Named(names.closes, over)), (first,))


def _changes(spans: Scan, calendar: Calendar, at: str, names: Names) -> Aggregate:
    """By moment, how many values, and how many sightings with those of NULL, have their end `at` that moment."""
    by = (Named(calendar.moment, column(at, "spans")), *(Named(key, column(key, "spans")) for key in calendar.keys))
    counted = Summary(names.count, "count", column(names.value, "spans"))
    return Aggregate(spans, by, (counted, Summary(names.sightings, "count", exp.Literal.number(1))))


def _on_days(gathered: Plan, calendar: Calendar, names: Names) -> Derive:
    return Derive(gathered, (*(Named(c, column(c)) for c in calendar.columns), names.counted()))


def _by_levels(changes: Stack, calendar: Calendar, names: Names) -> Derive:
    """A group's count stays the same from each change to the next, and each day between them shows it.

    There are few distinct stretches of time, however many groups there are. The days of each stretch are found first,
    as engines are slow at joining by inequalities.
    """
    moment = column(calendar.moment, "changes")
    groups = [Named(key, column(key, "changes")) for key in calendar.keys]
    sums = [Summary(c, "sum", column(c, "changes")) for c in (names.count, names.sightings)]
    by_moment = Aggregate(Scan(changes, "changes"), (*groups, Named(calendar.moment, moment)), tuple(sums))
    same, at = [column(key) for key in calendar.keys], column(calendar.moment)
    running = [Named(c, _over(exp.Sum(this=column(c)), same, at)) for c in (names.count, names.sightings)]
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
    # The rows are distinct already. DISTINCT keeps the engine from joining all levels by the inequalities.
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
    """The first moment whose window no longer holds `moment`.

    A month after January 31 that is not February 28, which looks back to January 28, but March 1.
    """
    later = exp.Add(this=moment.copy(), expression=interval(window))
    if window.unit not in UNEVEN:
        return later
    before = exp.Sub(this=later.copy(), expression=interval(window))
    month = Window(1, "month")
    next_month = exp.Add(this=truncated(later.copy(), month.unit, None), expression=interval(month))
    return exp.case().when(exp.LT(this=before, expression=moment.copy()), next_month).else_(later)
