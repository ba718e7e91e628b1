"""Metrics looked at from the days of a time spine: rows for empty days, values of another time, trailing windows."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlglot import exp

from gemel.compiler.algebra import Aggregate, Derive, Distinct, Filter, Join, Named, Plan, Scan, Summary
from gemel.compiler.expressions import bound, column, conjunction, equal, interval
from gemel.compiler.facts import Facts, filtered, truncated, within
from gemel.compiler.graph import Attribute, Graph
from gemel.compiler.parts import gather, parts, summary, whole
from gemel.compiler.terms import Key, Leaf, Predicate, Shifted, Span, Trailing
from gemel.errors import QueryError
from gemel.spec.manifest import PeriodAgg, TimeSpine
from gemel.spec.time import GRAINS, Window, finer, floor, is_standard, step

Condition = Callable[[exp.Expr], exp.Expr]
"""When facts of a time meet a row of the spine: from the facts' time to a condition."""

BASE = "step"  # the column that holds the spine's own step, where no asked column does


def coarsest_fit(graph: Graph, keys: Sequence[Key]) -> str:
    """The finest grain among time keys, which the spine has to have: a date part needs days."""
    grains = [key.grain or "day" for key in keys]
    return min(grains, key=lambda grain: GRAINS.index(graph.grain_of(grain)), default="day")


def spine_value(spine: TimeSpine, key: Key, alias: str = "spine") -> exp.Expr:
    """A time key as a column of the spine: a custom grain is a column there, a standard one is truncated."""
    custom = dict(spine.custom)
    if key.grain in custom:
        return column(custom[key.grain], alias)
    if key.grain and not is_standard(key.grain):
        raise QueryError(
            "G310", f"custom grain {key.grain!r} is not on the time spine that this needs, which is not answered yet"
        )
    return truncated(column(spine.column, alias), key.grain, key.part)


def buckets(
    spine: TimeSpine, keys: Sequence[Named], span: Span | None = None, only_time: Sequence[Predicate] = ()
) -> Distinct:
    """The different values of time columns over a spine, within a span, where filters that speak of time alone hold."""
    moment = column(spine.column, "spine")
    conditions = within(moment, span)
    for predicate in only_time:
        operands = [o for o in predicate.operands if isinstance(o, Attribute)]
        values = [spine_value(spine, Key("", (), o.grain, o.part)) for o in operands]
        conditions.append(bound(predicate.template, values))
    return Distinct(filtered(Scan(spine.relation, "spine"), conditions), tuple(keys))


def over_spine(graph: Graph, leaf: Leaf, name: str, result: Plan) -> Plan:
    """Every bucket of the time spine, with the leaf's value where it has one. Other keys are NULL in empty buckets.

    Filters that speak of time alone bound the spine too. Others that came from outside hold for the filled result
    again, where it has what they speak of: an empty bucket has no status, so `status = 'done'` drops it.
    """
    times = leaf.times
    spine = graph.spine(coarsest_fit(graph, times))
    only_time = [predicate for predicate in leaf.filters if leaf.is_only_time(predicate)]
    source = buckets(spine, [Named(key.name, spine_value(spine, key)) for key in times], leaf.span, only_time)
    finest = _finest(graph, times)
    on = [equal(column(key.name, "spine"), column(key.name, "facts")) for key in ([finest] if finest else times)]
    joined: Plan = Join(Scan(source, "spine"), Scan(result, "facts"), conjunction(on), "left")
    return _shown(joined, leaf, name, column(name, "facts"))


def _shown(joined: Plan, leaf: Leaf, name: str, value: exp.Expr) -> Plan:
    """Times from the spine, the other keys from the facts; what holds for the result is checked there."""
    outputs = [Named(key.name, column(key.name, "spine" if key in leaf.times else "facts")) for key, _ in leaf.keys]
    result: Plan = Derive(joined, (*outputs, Named(name, value)))
    keys = {key for key, _ in leaf.keys}
    for predicate in leaf.filters:
        again = predicate.outer and not leaf.is_only_time(predicate) and predicate.keys
        if again and len(predicate.keys) == len(predicate.operands) and keys.issuperset(predicate.keys):
            result = Filter(result, bound(predicate.template, [column(key.name) for key in predicate.keys]))
    return result


def _finest(graph: Graph, times: Sequence[Key]) -> Key | None:
    """The time key that settles all the others: the one of the finest standard grain."""
    standard = [key for key in times if key.grain and is_standard(key.grain)]
    return min(standard, key=lambda key: GRAINS.index(key.grain or ""), default=None)


def shift(graph: Graph, shifted: Shifted, inner: Plan, name: str, *, keep: bool = False) -> Plan:
    """A result by the shifted keys, shown at the time that looks at it. `keep` shows times that find nothing, too."""
    spine = graph.spine(coarsest_fit(graph, shifted.times))
    finest = _finest(graph, shifted.times)
    assert finest is not None
    only_time = [p for p in shifted.filters if {*p.keys} <= {*shifted.times} or not p.keys]
    times = [Named(key.name, spine_value(spine, key)) for key in shifted.times]
    source = buckets(spine, times, shifted.span, [p for p in only_time if p.operands])
    looked_at = _looked_at(column(finest.name, "spine"), shifted)
    on = equal(looked_at, column(finest.name, "facts"))
    joined = Join(Scan(source, "spine"), Scan(inner, "facts"), on, "left" if keep else "inner")
    outputs = [Named(key.name, column(key.name, "spine" if key in shifted.times else "facts")) for key in shifted.keys]
    result: Plan = Derive(joined, (*outputs, Named(name, column(name, "facts"))))
    for predicate in shifted.filters:
        if predicate not in only_time:
            result = Filter(result, bound(predicate.template, [column(key.name) for key in predicate.keys]))
    return result


def _looked_at(shown: exp.Expr, shifted: Shifted) -> exp.Expr:
    """The time that a shown time looks at."""
    if shifted.window:
        return exp.Sub(this=shown, expression=interval(shifted.window))
    return truncated(shown, shifted.to_grain, None)


def plan_shifted_leaf(facts: Facts, shifted: Shifted, leaf: Leaf, name: str) -> Plan:
    """One aggregate as it was at another time.

    Where the asked grain is at least as fine as the shift's, the result moves. Where it is coarser, the facts move,
    step of their own time by step, and are aggregated where they arrive: a month is not whole weeks.
    """
    graph = facts.graph
    finest = _finest(graph, shifted.times)
    unit = shifted.window.unit if shifted.window else shifted.to_grain
    assert unit is not None
    if (
        finest is not None
        and finest.grain is not None
        and not finer(unit, finest.grain)
        and not (finest.grain == "week" and shifted.to_grain)
        and all(key.grain is None or is_standard(key.grain) for key in shifted.times)
    ):
        kept = tuple((key, a) for key, a in leaf.keys if key == finest or key not in shifted.times)
        inner = replace(leaf, keys=kept, spine=False)
        keys = tuple(Named(key.name, facts.value(attribute)) for key, attribute in kept)
        rows = facts.boundary(facts.where(inner.filters), inner)
        result = Aggregate(rows, keys, (summary(leaf, name, facts.measured(leaf)),))
        return shift(graph, shifted, result, name, keep=leaf.spine)
    return _shift_facts(facts, shifted, leaf, name)


def _shift_facts(facts: Facts, shifted: Shifted, leaf: Leaf, name: str) -> Plan:
    graph = facts.graph
    base = graph.time_dimension(leaf.measure).grain or "day"
    spine = graph.spine(_finer_of(graph, base, shifted.times))
    day = _day(shifted.times, base)
    times = [Named(key.name, spine_value(spine, key)) for key in dict.fromkeys((day, *shifted.times))]
    source: Plan = buckets(spine, times, shifted.span, shifted.filters)
    if shifted.to_grain:
        starts = [equal(column(key.name), column(day.name)) for key in shifted.times if key.grain]
        source = Filter(source, exp.or_(*starts) if len(starts) > 1 else starts[0]) if starts else source
    others = [(key, a) for key, a in leaf.keys if key not in shifted.times]

    def looks(moment: exp.Expr) -> exp.Expr:
        return equal(_looked_at(column(day.name, "spine"), shifted), moment)

    result = _meet(facts, leaf, name, others, Scan(source, "spine"), looks, shifted.times, day)
    return over_spine(graph, replace(leaf, span=shifted.span), name, result) if leaf.spine else result


def _finer_of(graph: Graph, base: str, times: Sequence[Key]) -> str:
    custom = [key.grain for key in times if key.grain and not is_standard(key.grain)]
    return next((grain for grain in custom if graph.grain_of(grain) == base), base)


def _day(times: Sequence[Key], base: str) -> Key:
    """The facts' own step of time on the spine: the asked key at that grain, or a column more."""
    return next((key for key in times if key.grain == base), Key(BASE, (), base))


def plan_trailing(facts: Facts, trailing: Trailing, name: str) -> Plan:
    """A leaf over the time before each step of the spine, the step itself included.

    Days without a fact in their window have no row. A grain coarser than the facts' own takes one of its steps, or
    their average.
    """
    graph, leaf = facts.graph, trailing.leaf
    base = graph.time_dimension(leaf.measure).grain or "day"
    spine = graph.spine(_finer_of(graph, base, leaf.times))
    day = _day(leaf.times, base)
    at_base = day in leaf.times
    after = [predicate for predicate in leaf.filters if leaf.touches_time(predicate)]
    only_time = [predicate for predicate in after if leaf.is_only_time(predicate)]
    mixed = [predicate for predicate in after if predicate not in only_time]
    shown = tuple(dict.fromkeys((day, *leaf.times)))
    times = [Named(key.name, spine_value(spine, key)) for key in shown]
    source = buckets(spine, times, leaf.span, only_time)
    inner = replace(
        leaf,
        filters=tuple(predicate for predicate in leaf.filters if predicate not in after),
        span=_reach(trailing, leaf.span),
    )
    others = [(key, a) for key, a in leaf.keys if key not in leaf.times]
    result: Plan = _meet(facts, inner, name, others, Scan(source, "spine"), _sees(trailing, day), shown, day, mixed)
    value: exp.Expr = column(name)
    if leaf.fill is not None:
        value = exp.Coalesce(this=value, expressions=[exp.Literal.number(leaf.fill)])
    keys = [Named(key.name, column(key.name)) for key, _ in leaf.keys]
    if at_base:
        return Derive(result, (*keys, Named(name, value)))
    result = Derive(result, (*keys, Named(BASE, column(BASE)), Named(name, value)))
    return _one_per_period(result, [key.name for key, _ in leaf.keys], name, trailing.period_agg)


def _sees(trailing: Trailing, step_key: Key) -> Condition:
    def sees(moment: exp.Expr) -> exp.Expr:
        day = column(step_key.name, "spine")
        conditions: list[exp.Expr] = [exp.LTE(this=moment, expression=day)]
        if trailing.window:
            oldest = exp.Sub(this=day.copy(), expression=interval(trailing.window))
            conditions.append(exp.GT(this=moment.copy(), expression=oldest))
        elif trailing.grain_to_date:
            start = truncated(day.copy(), trailing.grain_to_date, None)
            conditions.append(exp.GTE(this=moment.copy(), expression=start))
        return conjunction(conditions)

    return sees


def _reach(trailing: Trailing, span: Span | None) -> Span | None:
    """The facts that a span of days can see: from the oldest that the first day's window holds."""
    if span is None:
        return None
    if span.start is None or not (trailing.window or trailing.grain_to_date):
        return Span(None, span.end) if span.end else None
    if trailing.grain_to_date:
        return Span(floor(span.start, trailing.grain_to_date), span.end)
    window = trailing.window or Window(0, "day")
    return Span(step(span.start, window.unit, -window.count), span.end)


def _meet(
    facts: Facts,
    leaf: Leaf,
    name: str,
    others: Sequence[tuple[Key, Attribute]],
    spine: Scan,
    meets: Condition,
    times: Sequence[Key],
    day: Key,
    mixed: Sequence[Predicate] = (),
) -> Plan:
    """A leaf's facts met with spine rows, aggregated by the spine's `times` and the facts' `others`.

    What can be put together from steps is first summed to them, so that facts are not multiplied.
    """
    keys = [Named(key.name, facts.value(attribute)) for key, attribute in others]
    moment = truncated(facts.moment(), day.grain, None)
    measured = facts.measured(leaf)
    kept = None if leaf.measure.non_additive or mixed else parts(leaf, name, measured)
    shown = [Named(key.name, column(key.name, "spine")) for key in times]
    if kept is None:
        after = [_mixed(facts, leaf, predicate, day) for predicate in mixed]
        rows = facts.boundary(facts.where(leaf.filters, leaf.span), leaf)
        met = filtered(Join(rows, spine, meets(moment), "inner"), after)
        return Aggregate(met, (*shown, *keys), (summary(leaf, name, measured),))
    steps = Aggregate(facts.where(leaf.filters, leaf.span), (*keys, Named("step", moment)), kept)
    stepped = Scan(steps, "facts")
    totals = Aggregate(
        Join(stepped, spine, meets(column("step", "facts")), "inner"),
        (*shown, *(Named(key.name, column(key.name, "facts")) for key in keys)),
        tuple(Summary(part.name, gather(part), column(part.name, "facts")) for part in kept),
    )
    names = [key.name for key in (*shown, *keys)]
    return Derive(totals, (*(Named(key, column(key)) for key in names), Named(name, whole(kept))))


def _mixed(facts: Facts, leaf: Leaf, predicate: Predicate, day: Key) -> exp.Expr:
    """A filter on time and more, after facts have met the spine: its time is the spine's."""
    values = []
    for operand in predicate.operands:
        if isinstance(operand, Attribute) and leaf.is_time(operand):
            values.append(truncated(column(day.name, "spine"), operand.grain, operand.part))
        else:
            values.append(facts.operand(operand))
    return bound(predicate.template, values)


def _one_per_period(result: Plan, keys: Sequence[str], name: str, period_agg: PeriodAgg) -> Plan:
    """Of the steps of each period the first, the last, or the average."""
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
