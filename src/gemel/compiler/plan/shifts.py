"""Values of another time: which results or facts move, and the time that each shown time looks at."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from sqlglot import exp

from gemel.compiler.names.graph import METRIC_TIME, Graph
from gemel.compiler.names.terms import Key, Leaf, Shifted
from gemel.compiler.plan.algebra import (
    Aggregate,
    Derive,
    Distinct,
    Filter,
    Join,
    Named,
    Plan,
    Scan,
)
from gemel.compiler.plan.facts import Facts, truncated
from gemel.compiler.plan.meetings import meet_spine, own_step
from gemel.compiler.plan.parts import summary
from gemel.compiler.plan.spines import buckets, filter_again, looked_up, over_spine, spine_for, spine_step
from gemel.compiler.question.expressions import bound, column, conjunction, equal, interval, present
from gemel.errors import About, QueryError
from gemel.spec.manifest import TimeSpine
from gemel.spec.time import DATE_PARTS, GRAINS, MONTHS, coarsest, finer, is_standard, lands

LOOKED_AT = "looked_at"  # the time that a shown time looks at


def plan_shifted_leaf(facts: Facts, shifted: Shifted, leaf: Leaf, name: str) -> Plan:
    """One aggregate as it was at another time.

    If the shift is whole periods of the query's grain, the result moves. Otherwise the facts move, one step of their
    own time by another, and are then aggregated: a month does not consist of whole weeks, nor a year.
    """
    graph = facts.graph
    if not _moves_whole(graph, shifted):
        return _shift_facts(facts, shifted, leaf, name)
    finest = _settling(graph, shifted)
    kept = tuple((key, a) for key, a in leaf.keys if key == finest or key not in shifted.times)
    inner = replace(leaf, keys=kept, spine=False)
    keys = tuple(Named(key.name, looked_up(facts, leaf, attribute)) for key, attribute in kept)
    rows = facts.boundary(facts.where(inner.filters), inner)
    # Under its plain name it may equal an aggregate of the query without the shift, and share its scan.
    plain = leaf.measure.name if leaf.measure.name not in {key.name for key in keys} else name
    result = Aggregate(rows, keys, (summary(leaf, plain, facts.measured(leaf)),))
    shown = shift(graph, shifted, result, name, value_name=plain, keep=leaf.spine)
    return filter_again(shown, leaf) if leaf.spine else shown


def _moves_whole(graph: Graph, shifted: Shifted) -> bool:
    unit = shifted.unit
    if not is_standard(unit):
        return len(shifted.times) == 1 and shifted.times[0].grain == unit
    finest = _finest(graph, shifted.times)
    if finest is None or any(key.grain and not is_standard(key.grain) for key in shifted.times):
        return False
    if not _has_one_value(graph, finest, shifted.times):
        return False
    # Weeks do not nest in months, so their totals cannot stand for the start of one.
    return not finer(unit, finest.grain or "") and not (finest.grain == "week" and (shifted.to_grain or unit in MONTHS))


def _shift_facts(facts: Facts, shifted: Shifted, leaf: Leaf, name: str) -> Plan:
    graph = facts.graph
    day = own_step(shifted.times, _step_of_shift(graph, shifted, leaf))
    source, looked_at = _looking(graph, shifted, tuple(dict.fromkeys((day, *shifted.times))))
    if shifted.to_grain:
        source = Filter(source, _begins(graph, shifted, day))
    others = [(key, a) for key, a in leaf.keys if key not in shifted.times]

    def looks(moment: exp.Expr) -> exp.Expr:
        if shifted.window and shifted.unit in MONTHS:
            # Each fact moves once, Feb 29 to Feb 28, although three days of March look back at it.
            later = exp.Add(this=moment, expression=interval(shifted.window))
            return equal(column(day.name, "spine"), truncated(later, day.grain, None) if day.grain == "week" else later)
        return equal(looked_at, moment)

    result = meet_spine(facts, leaf, name, others, Scan(source, "spine"), looks, shifted.times, day)
    for predicate in shifted.after:
        result = Filter(result, bound(predicate.template, [column(key.name) for key in predicate.keys]))
    if not leaf.spine:
        return result
    # The metric's own filters on time select the facts that move, not the times that are shown.
    lasting = (predicate for predicate in leaf.filters if not leaf.is_only_time(predicate))
    shown = replace(leaf, span=shifted.span, filters=(*lasting, *shifted.bounds))
    return over_spine(graph, shown, name, result)


def _step_of_shift(graph: Graph, shifted: Shifted, leaf: Leaf) -> str:
    """The grain by which facts move: their own, or for a custom grain that of its spine, which has no hours."""
    own = graph.time_dimension(leaf.measure).grain or "day"
    if is_standard(shifted.unit):
        bounds = [operand for predicate in shifted.bounds for operand in predicate.operands]
        own = spine_step(graph, leaf.measure, (*shifted.times, *bounds), shifted.unit)
        if shifted.window and not lands(shifted.window, own) and not (own == "week" and shifted.unit in MONTHS):
            raise QueryError(
                "G313",
                f"measure {leaf.measure.name!r} has the grain {own}, so it has no value of {shifted.window} earlier",
                hint=f"offset it by whole {own}s",
            )
        if shifted.to_grain and not _aligned(own, shifted.to_grain):
            raise _cannot_be_shown(graph, shifted)
        return own
    step_of_spine = graph.custom_grains[shifted.unit].grain
    grains = [graph.grain_of(key.grain) for key in shifted.times if key.grain]
    if finer(step_of_spine, own) or any(finer(grain, step_of_spine) for grain in grains):
        raise _cannot_be_shown(graph, shifted)
    return step_of_spine


def _begins(graph: Graph, shifted: Shifted, day: Key) -> exp.Expr:
    """Whether a day begins one of the periods of the query."""
    periods = [key for key in shifted.times if key.grain and is_standard(key.grain)]
    if not periods:
        raise _cannot_be_shown(graph, shifted)
    starts = [equal(column(key.name), column(day.name)) for key in periods]
    return exp.or_(*starts) if len(starts) > 1 else starts[0]


def shift(graph: Graph, shifted: Shifted, inner: Plan, name: str, *, value_name: str = "", keep: bool = False) -> Plan:
    """A result by the shifted keys, shown at the times that look at it. `keep` also shows times without a value.

    `value_name` is the value's column in `inner`, if it is not `name`.
    """
    finest = _settling(graph, shifted)
    times = (finest, *(key for key in shifted.times if key != finest))
    source, looked_at = _looking(graph, shifted, times, "left" if keep else "inner")
    on = equal(looked_at, column(finest.name, "facts"))
    joined = Join(Scan(source, "spine"), Scan(inner, "facts"), on, "left" if keep else "inner")
    outputs = [Named(key.name, column(key.name, "spine" if key in shifted.times else "facts")) for key in shifted.keys]
    result: Plan = Derive(joined, (*outputs, Named(name, column(value_name or name, "facts"))))
    for predicate in shifted.after:
        result = Filter(result, bound(predicate.template, [column(key.name) for key in predicate.keys]))
    return result


def refuse_weeks(graph: Graph, shifted: Shifted) -> None:
    """Raises QueryError (G324) for weeks of another month or year, if what is shown by week is more than the week's
    facts."""
    if _splits_weeks(graph, shifted):
        raise _cannot_be_shown(graph, shifted)


def _splits_weeks(graph: Graph, shifted: Shifted) -> bool:
    """A week to date, a year ago, would begin in the middle of a week."""
    finest = _finest(graph, shifted.times)
    return bool(shifted.window and shifted.unit in MONTHS and finest is not None and finest.grain == "week")


def _settling(graph: Graph, shifted: Shifted) -> Key:
    """The time key by which whole results move. Raises QueryError (G324) if there is none."""
    key = _find_settling(graph, shifted)
    if key is None:
        raise _cannot_be_shown(graph, shifted)
    return key


def _find_settling(graph: Graph, shifted: Shifted) -> Key | None:
    custom = [key for key in shifted.times if key.grain == shifted.unit]
    if not is_standard(shifted.unit) and custom and len(shifted.times) == 1:
        return custom[0]
    finest = _finest(graph, shifted.times)
    if finest is None or (not is_standard(shifted.unit) and finest.grain != graph.grain_of(shifted.unit)):
        return None
    if not _has_one_value(graph, finest, shifted.times) or _is_between(shifted, finest.grain or ""):
        return None
    return finest


def _is_between(shifted: Shifted, grain: str) -> bool:
    """Whether the time that a period looks at is not the start of a period: a result has no value there."""
    if shifted.window:
        return is_standard(shifted.unit) and not lands(shifted.window, grain)
    return not _aligned(grain, shifted.unit)


def _aligned(grain: str, to_grain: str) -> bool:
    """Whether the start of each `to_grain` that a period is in is itself the start of a period, or of one that holds
    it: a month does not start with a week."""
    return (grain == "week") == (to_grain == "week") or finer(grain, "week") or finer(to_grain, "week")


def _has_one_value(graph: Graph, finest: Key, times: Sequence[Key]) -> bool:
    """Whether a whole period has one value of every time key: a day does, but a month has no single day of the month
    and can have two custom periods, and a week can have two months."""
    if finest.grain == "week":
        return all(key.grain == "week" for key in times)
    within = [graph.grain_of(key.grain) if key.grain else DATE_PARTS[key.part or ""] for key in times]
    return not any(finer(grain, finest.grain or "") for grain in within)


def _cannot_be_shown(graph: Graph, shifted: Shifted) -> QueryError:
    finest = _finest(graph, shifted.times)
    shown = ", ".join(key.name for key in shifted.times if key.segments)
    why, whole = "", ""
    if (
        shifted.window
        and finest
        and finest.grain
        and is_standard(shifted.unit)
        and not lands(shifted.window, finest.grain)
    ):
        why = f": {shifted.window} is not a whole number of {finest.grain}s"
        whole = f", or offset by whole {finest.grain}s"
    when = f"{shifted.window} earlier" if shifted.window else f"at the start of the {shifted.to_grain}"
    return QueryError(
        "G324",
        f"metric {shifted.metric!r} uses {shifted.used!r} {when}, which cannot be shown by {shown}{why}",
        hint=_another_time(graph, shifted) + whole,
        about=About("metric", shifted.metric),
    )


def _another_time(graph: Graph, shifted: Shifted) -> str:
    """The times by which it can be shown, as a hint."""
    own = coarsest([graph.time_dimension(each).grain or "day" for each in graph.measures(graph.metrics[shifted.used])])
    grains = [grain for grain in reversed(GRAINS) if not finer(grain, own)]
    if not is_standard(shifted.unit):
        step = graph.custom_grains[shifted.unit].grain
        grains = [shifted.unit, *([step] if step in grains else [])]
    for word, others in (("too", shifted.times), ("instead", ())):
        for grain in grains:
            times = (*others, Key(f"{METRIC_TIME}__{grain}", (METRIC_TIME,), grain))
            if _can_be_shown(graph, replace(shifted, times=times)):
                return f"group by {METRIC_TIME}__{grain} {word}"
    return f"the facts of {shifted.used} are by {own}, and none of their periods has such a value: change the offset"


def _can_be_shown(graph: Graph, shifted: Shifted) -> bool:
    """Whether it can be whatever it is that moves."""
    return _find_settling(graph, shifted) is not None and not _splits_weeks(graph, shifted)


def _looking(
    graph: Graph, shifted: Shifted, times: Sequence[Key], how: Literal["inner", "left"] = "inner"
) -> tuple[Plan, exp.Expr]:
    """The times that are shown, under the alias `spine`, and the time that each looks at, for the first of `times`.

    "left" also shows times that have nothing to look at: the first custom periods.
    """
    first = times[0]
    if is_standard(shifted.unit):
        spine = spine_for(graph, times, shifted.bounds)
        shown = column(first.name, "spine")
        if shifted.window:
            looked_at: exp.Expr = exp.Sub(this=shown, expression=interval(shifted.window))
        else:
            looked_at = truncated(shown, shifted.to_grain, None)
        return buckets(graph, spine, times, shifted.span, shifted.bounds), looked_at
    spine = graph.custom_grains[shifted.unit]
    shown_days = buckets(graph, spine, times, shifted.span, shifted.bounds)
    before = _periods_before(spine, shifted) if first.grain == shifted.unit else _days_before(spine, shifted)
    on = equal(column(first.name, "shown"), column("shown", "before"))
    looked = Derive(
        Join(Scan(shown_days, "shown"), Scan(before, "before"), on, how),
        (*(Named(key.name, column(key.name, "shown")) for key in times), Named(LOOKED_AT, column(LOOKED_AT, "before"))),
    )
    return looked, column(LOOKED_AT, "spine")


def _periods_before(spine: TimeSpine, shifted: Shifted) -> Plan:
    """Each custom period with the one that is the shift's count of periods before it."""
    assert shifted.window is not None
    period = column(dict(spine.custom)[shifted.unit], "spine")
    periods = Distinct(Scan(spine.relation, "spine"), (Named("shown", period),))
    shown = column("shown", "periods")
    lag = exp.Window(
        this=exp.Lag(this=shown, offset=exp.Literal.number(shifted.window.count)),
        order=exp.Order(expressions=[exp.Ordered(this=shown, nulls_first=False)]),
    )
    return Derive(Scan(periods, "periods"), (Named("shown", shown), Named(LOOKED_AT, lag)))


def _days_before(spine: TimeSpine, shifted: Shifted) -> Plan:
    """Each step of the spine with the step of the same number in the earlier custom period."""
    assert shifted.window is not None
    day = truncated(column(spine.column, "spine"), spine.grain, None)
    period = column(dict(spine.custom)[shifted.unit], "spine")
    in_order = exp.Order(expressions=[exp.Ordered(this=day, nulls_first=False)])
    by_period = exp.Order(expressions=[exp.Ordered(this=period, nulls_first=False)])
    number = exp.Window(this=exp.RowNumber(), partition_by=[period], order=in_order)
    rank = exp.Window(this=exp.DenseRank(), order=by_period)
    numbered = Derive(
        Filter(Scan(spine.relation, "spine"), present(period)),
        (Named("day", day), Named("number", number), Named("period", rank)),
    )
    count = exp.Literal.number(shifted.window.count)
    on = conjunction(
        [
            equal(column("number", "later"), column("number", "earlier")),
            equal(exp.Sub(this=column("period", "later"), expression=count), column("period", "earlier")),
        ]
    )
    return Derive(
        Join(Scan(numbered, "later"), Scan(numbered, "earlier"), on, "inner"),
        (Named("shown", column("day", "later")), Named(LOOKED_AT, column("day", "earlier"))),
    )


def _finest(graph: Graph, times: Sequence[Key]) -> Key | None:
    """The time key that determines all others: the one of the finest standard grain."""
    standard = [key for key in times if key.grain and is_standard(key.grain)]
    return min(standard, key=lambda key: GRAINS.index(key.grain or ""), default=None)
