"""Metrics looked at from the days of a time spine: rows for empty days, values of another time, trailing windows."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from sqlglot import exp

from gemel.compiler.names.graph import Attribute, Graph
from gemel.compiler.names.terms import Key, Leaf, PerEntity, Predicate, Shifted, Span, Trailing
from gemel.compiler.plan.algebra import (
    Aggregate,
    AsOf,
    Calendar,
    Derive,
    Distinct,
    Filter,
    Join,
    Lookup,
    Named,
    Plan,
    Scan,
    Summary,
    Windowed,
)
from gemel.compiler.plan.distinct import is_sighted, plan_sightings
from gemel.compiler.plan.facts import Facts, filtered, stepped, truncated, within
from gemel.compiler.plan.parts import gather, in_sight, parts, summary, whole
from gemel.compiler.question.expressions import bound, column, conjunction, equal, filled, interval, present
from gemel.errors import QueryError
from gemel.spec.manifest import TimeSpine
from gemel.spec.metrics import PeriodAgg
from gemel.spec.time import DATE_PARTS, GRAINS, Window, finer, floor, is_standard, step

Condition = Callable[[exp.Expr], exp.Expr]
"""When facts of a time meet a row of the spine: from the facts' time to a condition."""

BASE = "step"  # the column that holds the spine's own step, where no asked column does
LOOKED_AT = "looked_at"  # the time that a shown time looks at


def spine_for(graph: Graph, times: Sequence[Key], only_time: Sequence[Predicate] = ()) -> TimeSpine:
    """The coarsest time spine that has all of some time keys, and what filters on time speak of; a date part needs
    days."""
    times = [*times, *(key for predicate in only_time for key in _spoken(predicate))]
    grains = [key.grain or "day" for key in times]
    finest = min((graph.grain_of(grain) for grain in grains), key=GRAINS.index, default="day")
    custom = [graph.custom_grains[grain] for grain in grains if not is_standard(grain)]
    return next((spine for spine in custom if not finer(finest, spine.grain)), None) or graph.spine(finest)


def spine_value(graph: Graph, spine: TimeSpine, key: Key) -> exp.Expr:
    """A time key as a column of `spine_rows`: a custom grain is a column there, a standard one is truncated."""
    if key.grain and not is_standard(key.grain):
        owner = graph.custom_grains[key.grain]
        return column(dict(owner.custom)[key.grain], "spine" if owner == spine else f"{key.grain}__spine")
    return truncated(column(spine.column, "spine"), key.grain, key.part)


def spine_rows(graph: Graph, spine: TimeSpine, times: Sequence[Key]) -> Plan:
    """The rows of a spine, with the custom grains that another spine has."""
    rows: Plan = Scan(spine.relation, "spine")
    for grain in dict.fromkeys(key.grain for key in times if key.grain and not is_standard(key.grain)):
        owner = graph.custom_grains[grain]
        if owner != spine:
            alias = f"{grain}__spine"
            step_of_owner = truncated(column(spine.column, "spine"), owner.grain, None)
            rows = Lookup(rows, Scan(owner.relation, alias), equal(step_of_owner, column(owner.column, alias)))
    return rows


def buckets(
    graph: Graph,
    spine: TimeSpine,
    times: Sequence[Key],
    span: Span | None = None,
    only_time: Sequence[Predicate] = (),
) -> Derive | Distinct:
    """The different values of time keys over a spine, within a span, where filters that speak of time alone hold."""
    conditions = within(column(spine.column, "spine"), span)
    spoken = [_spoken(predicate) for predicate in only_time]
    for predicate, keys in zip(only_time, spoken, strict=True):
        conditions.append(bound(predicate.template, [spine_value(graph, spine, key) for key in keys]))
    rows = filtered(spine_rows(graph, spine, [*times, *(key for each in spoken for key in each)]), conditions)
    values = tuple(Named(key.name, spine_value(graph, spine, key)) for key in times)
    # A spine has one row a step, so its own grain among the keys makes every row different.
    return Derive(rows, values) if any(key.grain == spine.grain for key in times) else Distinct(rows, values)


def _spoken(predicate: Predicate) -> list[Key]:
    """The times that a filter on nothing else speaks of, as keys."""
    return [Key("", (), o.grain, o.part) for o in predicate.operands if isinstance(o, Attribute)]


def looked_up(facts: Facts, leaf: Leaf, attribute: Attribute | PerEntity) -> exp.Expr:
    """A key of facts that a time spine will meet. The spine shows the time, so the facts' own may be of any type."""
    if isinstance(attribute, Attribute) and leaf.is_time(attribute) and attribute.grain == "day":
        return stepped(facts.moment(), "day")
    return facts.operand(attribute)


def over_spine(graph: Graph, leaf: Leaf, name: str, result: Plan) -> Plan:
    """Every bucket of the time spine, with the leaf's value where it has one. Other keys are NULL in empty buckets.

    Filters that speak of time alone bound the spine too. Others that came from outside hold for the filled result
    again, where it has what they speak of: an empty bucket has no status, so `status = 'done'` drops it.
    """
    times = leaf.times
    only_time = [predicate for predicate in leaf.filters if leaf.is_only_time(predicate)]
    spine = spine_for(graph, times, only_time)
    source = buckets(graph, spine, times, leaf.span, only_time)
    on = [equal(column(key.name, "spine"), column(key.name, "facts")) for key in times]
    joined: Plan = Join(Scan(source, "spine"), Scan(result, "facts"), conjunction(on), "left")
    return _shown(joined, leaf, name, column(name, "facts"))


def _shown(joined: Plan, leaf: Leaf, name: str, value: exp.Expr) -> Plan:
    """Times from the spine, the other keys from the facts; what holds for the result is checked there."""
    outputs = [Named(key.name, column(key.name, "spine" if key in leaf.times else "facts")) for key, _ in leaf.keys]
    return _again(Derive(joined, (*outputs, Named(name, value))), leaf)


def _again(result: Plan, leaf: Leaf) -> Plan:
    """Filters from outside that do not speak of time alone hold for made-up rows too, as far as those have what the
    filters speak of."""
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


def shift(graph: Graph, shifted: Shifted, inner: Plan, name: str, *, found: str = "", keep: bool = False) -> Plan:
    """A result by the shifted keys, shown at the time that looks at it. `keep` shows times that find nothing, too.

    The value is `found` in what is looked at, if it is not called `name` there.
    """
    finest = _settling(graph, shifted)
    times = (finest, *(key for key in shifted.times if key != finest))
    source, looked_at = _looking(graph, shifted, times, "left" if keep else "inner")
    on = equal(looked_at, column(finest.name, "facts"))
    joined = Join(Scan(source, "spine"), Scan(inner, "facts"), on, "left" if keep else "inner")
    outputs = [Named(key.name, column(key.name, "spine" if key in shifted.times else "facts")) for key in shifted.keys]
    result: Plan = Derive(joined, (*outputs, Named(name, column(found or name, "facts"))))
    for predicate in shifted.after:
        result = Filter(result, bound(predicate.template, [column(key.name) for key in predicate.keys]))
    return result


def _settling(graph: Graph, shifted: Shifted) -> Key:
    """The asked time by which results move, whole. Raises QueryError (G324) where there is none."""
    custom = [key for key in shifted.times if key.grain == shifted.unit]
    if not is_standard(shifted.unit) and custom and len(shifted.times) == 1:
        return custom[0]
    finest = _finest(graph, shifted.times)
    if finest is None or (not is_standard(shifted.unit) and finest.grain != graph.grain_of(shifted.unit)):
        raise _cannot_be_shown(graph, shifted)
    if not _tells(finest, shifted.times):
        raise _cannot_be_shown(graph, shifted)
    return finest


def _tells(finest: Key, times: Sequence[Key]) -> bool:
    """Whether a whole period has one value of all that is asked: a day has, a month has no day of the month, and a
    week can lie in two months."""
    if finest.grain == "week":
        return all(key.grain == "week" for key in times)
    return not any(key.part and finer(DATE_PARTS[key.part], finest.grain or "") for key in times)


def _cannot_be_shown(graph: Graph, shifted: Shifted) -> QueryError:
    grain = min(graph.grain_of(shifted.unit), "day", key=GRAINS.index)
    return QueryError(
        "G324",
        f"a metric of another time (by {shifted.unit}) cannot be shown by "
        f"{', '.join(key.name for key in shifted.times)}",
        hint=f"group by metric_time__{grain}"
        + (
            " instead"
            if any(key.grain and finer(graph.grain_of(key.grain), grain) for key in shifted.times)
            else " too"
        ),
    )


def _looking(
    graph: Graph, shifted: Shifted, times: Sequence[Key], how: Literal["inner", "left"] = "inner"
) -> tuple[Plan, exp.Expr]:
    """The times that are shown, under the alias `spine`, and the time that each looks at: of the first of `times`.

    With "left", those are shown too that have nothing to look at: the first of custom periods.
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
    """Each custom period with the one so many before it."""
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
    """Each step of the spine with the step of the same number in the custom period so many before."""
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


def plan_shifted_leaf(facts: Facts, shifted: Shifted, leaf: Leaf, name: str) -> Plan:
    """One aggregate as it was at another time.

    Where the asked grain is at least as fine as the shift's, the result moves. Where it is coarser, the facts move,
    step of their own time by step, and are aggregated where they arrive: a month is not whole weeks.
    """
    graph = facts.graph
    if not _moves_whole(graph, shifted):
        return _shift_facts(facts, shifted, leaf, name)
    finest = _settling(graph, shifted)
    kept = tuple((key, a) for key, a in leaf.keys if key == finest or key not in shifted.times)
    inner = replace(leaf, keys=kept, spine=False)
    keys = tuple(Named(key.name, looked_up(facts, leaf, attribute)) for key, attribute in kept)
    rows = facts.boundary(facts.where(inner.filters), inner)
    # Under its plain name it may be the very aggregate that the query asks for at the time itself, and share its scan.
    plain = leaf.measure.name if leaf.measure.name not in {key.name for key in keys} else name
    result = Aggregate(rows, keys, (summary(leaf, plain, facts.measured(leaf)),))
    shown = shift(graph, shifted, result, name, found=plain, keep=leaf.spine)
    return _again(shown, leaf) if leaf.spine else shown


def _moves_whole(graph: Graph, shifted: Shifted) -> bool:
    unit = shifted.unit
    if not is_standard(unit):
        return len(shifted.times) == 1 and shifted.times[0].grain == unit
    finest = _finest(graph, shifted.times)
    if finest is None or any(key.grain and not is_standard(key.grain) for key in shifted.times):
        return False
    if not _tells(finest, shifted.times):
        return False
    # Weeks do not nest in months, so their totals cannot stand for the start of one.
    return not finer(unit, finest.grain or "") and not (finest.grain == "week" and shifted.to_grain)


def _shift_facts(facts: Facts, shifted: Shifted, leaf: Leaf, name: str) -> Plan:
    graph = facts.graph
    day = _day(shifted.times, _step_of_shift(graph, shifted, leaf))
    source, looked_at = _looking(graph, shifted, tuple(dict.fromkeys((day, *shifted.times))))
    if shifted.to_grain:
        source = Filter(source, _begins(graph, shifted, day))
    others = [(key, a) for key, a in leaf.keys if key not in shifted.times]

    def looks(moment: exp.Expr) -> exp.Expr:
        return equal(looked_at, moment)

    result = _meet(facts, leaf, name, others, Scan(source, "spine"), looks, shifted.times, day)
    for predicate in shifted.after:
        result = Filter(result, bound(predicate.template, [column(key.name) for key in predicate.keys]))
    if not leaf.spine:
        return result
    shown = replace(leaf, span=shifted.span, filters=(*leaf.filters, *shifted.bounds))
    return over_spine(graph, shown, name, result)


def _step_of_shift(graph: Graph, shifted: Shifted, leaf: Leaf) -> str:
    """The grain by which facts move: their own; by a custom grain the steps of its spine, which have no hours."""
    own = graph.time_dimension(leaf.measure).grain or "day"
    if is_standard(shifted.unit):
        return own
    step_of_spine = graph.custom_grains[shifted.unit].grain
    asked = [graph.grain_of(key.grain) for key in shifted.times if key.grain]
    if finer(step_of_spine, own) or any(finer(grain, step_of_spine) for grain in asked):
        raise _cannot_be_shown(graph, shifted)
    return step_of_spine


def _begins(graph: Graph, shifted: Shifted, day: Key) -> exp.Expr:
    """Whether a day begins one of the asked periods."""
    periods = [key for key in shifted.times if key.grain and is_standard(key.grain)]
    if not periods:
        raise _cannot_be_shown(graph, shifted)
    starts = [equal(column(key.name), column(day.name)) for key in periods]
    return exp.or_(*starts) if len(starts) > 1 else starts[0]


def _day(times: Sequence[Key], base: str) -> Key:
    """The facts' own step of time on the spine: the asked key at that grain, or a column more."""
    return next((key for key in times if key.grain == base), Key(BASE, (), base))


def plan_trailing(facts: Facts, trailing: Trailing, name: str, shifted: Shifted | None = None) -> Plan:
    """A leaf over the time before each step of the spine, the step itself included, or as it was before that.

    Days without a fact in their window have no row. A grain coarser than the facts' own takes one of its steps, or
    their average.
    """
    graph, leaf = facts.graph, trailing.leaf
    base = graph.time_dimension(leaf.measure).grain or "day"
    day = _day(leaf.times, base)
    shown = tuple(dict.fromkeys((day, *leaf.times)))
    after = [predicate for predicate in leaf.filters if leaf.touches_time(predicate)]
    only_time = [predicate for predicate in after if leaf.is_only_time(predicate)]
    mixed = [predicate for predicate in after if predicate not in only_time]
    spine = spine_for(graph, shown, only_time)
    source = buckets(graph, spine, shown, leaf.span, only_time)
    seen = tuple(predicate for predicate in leaf.filters if predicate not in after)
    inner = replace(leaf, filters=seen, span=_reach(trailing, leaf.span))
    others = [(key, a) for key, a in leaf.keys if key not in leaf.times]
    back = trailing.window or trailing.grain_to_date

    def sees(moment: exp.Expr) -> exp.Expr:
        return in_sight(moment, column(day.name, "spine"), back)

    calendar = Calendar(source, day.name, tuple(key.name for key, _ in others))
    if not mixed and is_sighted(inner, base, back):
        steps: Plan = plan_sightings(facts, inner, name, calendar, [a for _, a in others], base, back)
    elif mixed or (by_step := _by_step(facts, inner, day, others)) is None:
        steps = _meet(facts, inner, name, others, Scan(source, "spine"), sees, shown, day, mixed)
    else:
        values = tuple(Windowed(v.name, v.function, v.value.name, back) for v in _gathered(by_step, inner, name))
        steps = _whole(AsOf(calendar, by_step, Window(1, base), values), by_step, inner, name)
    keys = (*shown, *(key for key, _ in others))
    if shifted:
        steps = shift(graph, replace(shifted, keys=keys, times=shown), steps, name, keep=leaf.spine)
        steps = _again(steps, leaf) if leaf.spine else steps
    elif leaf.spine:
        at = replace(leaf.time, grain=base)
        by_day = replace(leaf, keys=tuple((key, dict(leaf.keys).get(key, at)) for key in keys))
        steps = over_spine(graph, by_day, name, steps)
    value = filled(column(name), leaf.fill)
    result = Derive(steps, (*(Named(key.name, column(key.name)) for key in keys), Named(name, value)))
    asked = [key.name for key, _ in leaf.keys]
    if day in leaf.times:
        return Derive(result, (*(Named(key, column(key)) for key in asked), Named(name, column(name))))
    return _one_per_period(result, asked, name, trailing.period_agg)


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
    others: Sequence[tuple[Key, Attribute | PerEntity]],
    spine: Scan,
    meets: Condition,
    times: Sequence[Key],
    day: Key,
    mixed: Sequence[Predicate] = (),
) -> Plan:
    """A leaf's facts met with spine rows, aggregated by the spine's `times` and the facts' `others`.

    What can be put together from steps is first summed to them, so that facts are not multiplied.
    """
    shown = [Named(key.name, column(key.name, "spine")) for key in times]
    if mixed or (by_step := _by_step(facts, leaf, day, others)) is None:
        keys = [Named(key.name, facts.operand(attribute)) for key, attribute in others]
        after = [_mixed(facts, leaf, predicate, day) for predicate in mixed]
        moment = stepped(facts.moment(), day.grain)
        met = filtered(Join(facts.where(leaf.filters, leaf.span), spine, meets(moment), "inner"), after)
        met = facts.boundary(met, leaf, shown[0])
        return Aggregate(met, (*shown, *keys), (summary(leaf, name, facts.measured(leaf)),))
    keys = [Named(key.name, column(key.name, "facts")) for key, _ in others]
    met = Join(Scan(by_step, "facts"), spine, meets(column(day.name, "facts")), "inner")
    return _whole(Aggregate(met, (*shown, *keys), _gathered(by_step, leaf, name)), by_step, leaf, name)


def _by_step(
    facts: Facts, leaf: Leaf, day: Key, others: Sequence[tuple[Key, Attribute | PerEntity]]
) -> Aggregate | None:
    """The parts of a leaf by steps of time and other keys, if it can be put together from parts."""
    kept = parts(leaf, leaf.measure.name, facts.measured(leaf))
    if leaf.measure.non_additive or kept is None:
        return None
    keys = [Named(key.name, facts.operand(attribute)) for key, attribute in others]
    moment = Named(day.name, stepped(facts.moment(), day.grain))
    return Aggregate(facts.where(leaf.filters, leaf.span), (moment, *keys), kept)


def _gathered(by_step: Aggregate, leaf: Leaf, name: str) -> tuple[Summary, ...]:
    """What joins the parts: those of `sales` by step, for a value called `name`."""
    plain = leaf.measure.name
    return tuple(
        Summary(name + part.name.removeprefix(plain), gather(part), column(part.name, "facts"))
        for part in by_step.values
    )


def _whole(gathered: AsOf | Aggregate, by_step: Aggregate, leaf: Leaf, name: str) -> Derive:
    """A leaf's value from its joined parts."""
    names = [key for key in gathered.columns if key not in {part.name for part in gathered.values}]
    value = whole(by_step.values, lambda part: column(name + part.removeprefix(leaf.measure.name)))
    return Derive(gathered, (*(Named(key, column(key)) for key in names), Named(name, value)))


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
