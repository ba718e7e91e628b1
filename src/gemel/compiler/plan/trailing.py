"""Trailing values: a leaf over the time before each step of a time spine."""

from collections.abc import Sequence
from dataclasses import replace

from sqlglot import exp

from gemel.compiler.names.graph import Graph
from gemel.compiler.names.terms import Shifted, Span, Trailing
from gemel.compiler.plan.algebra import (
    Aggregate,
    AsOf,
    Calendar,
    Derive,
    Distinct,
    Named,
    Plan,
    Scan,
    Summary,
    Windowed,
    columns,
)
from gemel.compiler.plan.distinct import is_sighted, plan_sightings
from gemel.compiler.plan.facts import Facts
from gemel.compiler.plan.meetings import BASE, derive_value, meet_spine, own_step, sum_by_step, summarize_parts
from gemel.compiler.plan.parts import gather, in_sight
from gemel.compiler.plan.shifts import refuse_weeks, shift
from gemel.compiler.plan.spines import buckets, filter_again, over_spine, spine_for, spine_step
from gemel.compiler.question.expressions import column, filled
from gemel.spec.metrics import PeriodAgg
from gemel.spec.time import Window, floor, is_standard, step


def plan_trailing(facts: Facts, trailing: Trailing, name: str, shifted: Shifted | None = None) -> Plan:
    """A leaf over the time up to each step of the spine, the step included; with `shifted`, as it was at another time.

    Days without a fact in their window have no row. A grain coarser than the facts' own has the value of one of its
    steps, or their average.
    """
    graph, leaf = facts.graph, trailing.leaf
    after = [predicate for predicate in leaf.filters if leaf.touches_time(predicate)]
    back = trailing.window or trailing.grain_to_date
    base = spine_step_of(graph, trailing)
    day = own_step(leaf.times, base)
    shown = tuple(dict.fromkeys((day, *leaf.times)))
    only_time = [predicate for predicate in after if leaf.is_only_time(predicate)]
    mixed = [predicate for predicate in after if predicate not in only_time]
    spine = spine_for(graph, shown, only_time)
    source = buckets(graph, spine, shown, leaf.span, only_time)
    row_filters = tuple(predicate for predicate in leaf.filters if predicate not in after)
    inner = replace(leaf, filters=row_filters, span=_reach(trailing, leaf.span))
    others = [(key, a) for key, a in leaf.keys if key not in leaf.times]

    def sees(moment: exp.Expr) -> exp.Expr:
        return in_sight(moment, column(day.name, "spine"), back)

    calendar = Calendar(source, day.name, tuple(key.name for key, _ in others))
    if not mixed and is_sighted(inner, base, back):
        steps: Plan = plan_sightings(facts, inner, name, calendar, [a for _, a in others], base, back)
    elif mixed or (by_step := sum_by_step(facts, inner, day, others)) is None:
        steps = meet_spine(facts, inner, name, others, Scan(source, "spine"), sees, shown, day, mixed)
    else:
        if day not in leaf.times and others and not shifted and not leaf.spine:
            calendar = replace(calendar, period_agg=_at_once(trailing, by_step))
        values = tuple(Windowed(v.name, v.function, v.value.name, back) for v in summarize_parts(by_step, inner, name))
        steps = derive_value(AsOf(calendar, by_step, Window(1, base), values), by_step, inner, name)
    keys = tuple(key for key in (*shown, *(key for key, _ in others)) if key.name in columns(steps))
    if shifted:
        refuse_weeks(graph, shifted)
        steps = shift(graph, replace(shifted, keys=keys, times=shown), steps, name, keep=leaf.spine)
        steps = filter_again(steps, leaf) if leaf.spine else steps
    elif leaf.spine:
        at = replace(leaf.time, grain=base)
        by_day = replace(leaf, keys=tuple((key, dict(leaf.keys).get(key, at)) for key in keys))
        steps = over_spine(graph, by_day, name, steps)
    value = filled(column(name), leaf.fill)
    result = Derive(steps, (*(Named(key.name, column(key.name)) for key in keys), Named(name, value)))
    names = [key.name for key, _ in leaf.keys]
    if day in leaf.times or calendar.period_agg:
        return Derive(result, (*(Named(key, column(key)) for key in names), Named(name, column(name))))
    return _one_per_period(result, names, name, trailing.period_agg)


def spine_step_of(graph: Graph, trailing: Trailing) -> str:
    """The grain by which a leaf is accumulated."""
    leaf = trailing.leaf
    times = [operand for predicate in leaf.filters for operand in predicate.operands if leaf.is_time(operand)]
    unit = trailing.window.unit if trailing.window else trailing.grain_to_date
    return spine_step(graph, leaf.measure, (*leaf.times, *times), unit)


def _reach(trailing: Trailing, span: Span | None) -> Span | None:
    """The span of the facts in the windows of a span of days: it starts with the window of the first day."""
    if span is None:
        return None
    if span.start is None or not (trailing.window or trailing.grain_to_date):
        return Span(None, span.end) if span.end else None
    if trailing.grain_to_date:
        return Span(floor(span.start, trailing.grain_to_date), span.end)
    window = trailing.window or Window(0, "day")
    return Span(step(span.start, window.unit, -window.count), span.end)


def _at_once(trailing: Trailing, by_step: Aggregate) -> PeriodAgg | None:
    """How each period is computed without a row for each of its days; None if it cannot be."""
    if trailing.period_agg != "average":
        return trailing.period_agg
    # A standard grain's periods have no days of other periods between their own.
    whole = all(key.grain and is_standard(key.grain) for key in trailing.leaf.times)
    is_sum = [gather(part) for part in by_step.values] == ["sum"] and trailing.leaf.fill is None
    return "average" if is_sum and (whole or trailing.window or trailing.grain_to_date) else None


def _one_per_period(result: Plan, keys: Sequence[str], name: str, period_agg: PeriodAgg) -> Plan:
    """The first, the last, or the average of the steps of each period."""
    rows = Scan(result, "steps")
    named = tuple(Named(key, column(key, "steps")) for key in keys)
    value = column(name, "steps")
    if period_agg == "average":
        return Aggregate(rows, named, (Summary(name, "average", value),))
    order = exp.Ordered(this=column(BASE, "steps"), desc=period_agg == "last", nulls_first=False)
    first = exp.Window(
        this=exp.FirstValue(this=value),
        partition_by=[column(key, "steps") for key in keys],
        order=exp.Order(expressions=[order]),
    )
    return Distinct(rows, (*named, Named(name, first)))
