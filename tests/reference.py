"""What every metric means: a naive evaluator in plain Python over rows. The compiled SQL is tested against it.

    columns, rows = evaluate(manifest, tables, query)      tables: {"orders": [{"order_id": 1, ...}, ...], ...}

A metric is the aggregate of what it has *seen*: facts, each at a moment. For a plain metric that moment is the
fact's own time; an offset moves it, an accumulation repeats it at every later moment within the window, and a
conversion is seen as the base event it belongs to. All that follows is the same for every kind: filter, group by the
asked items (time items are read off the moment, the others off the fact), aggregate, lay on the time spine, fill.

Where semantics.md leaves a question, MetricFlow 0.213 decides (by its source and its output); where it goes its
own way against semantics.md, `docs/differences.md` says so. No engine computes anything here: sqlglot only parses
the users' expressions (`reference_values.py`, with the calendar).
"""

import datetime as dt
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, assert_never

from gemel.compiler.question.query import Query
from gemel.spec.manifest import Manifest
from gemel.spec.metrics import Conversion, Cumulative, Derived, Measure, Metric, MetricInput, Ratio, Simple
from gemel.spec.time import Window, coarsest, is_standard
from reference_values import Filter, Ref, after, expression, minus, truncate
from reference_world import Fact, Row, Undefined, World, element_of

Key = tuple[Any, ...]


# --- The question -------------------------------------------------------------------------------------------


def evaluate(manifest: Manifest, tables: dict[str, list[Row]], query: Query) -> tuple[list[str], list[Key]]:
    """The columns, group-by items first, and the rows of a query's result."""
    world = World(manifest, tables, by_entity)
    asked = [world.metrics[metric.name] for metric in query.metrics]
    items = tuple(dict.fromkeys(ref for item in query.group_by for ref in world.single(world.complete(item, asked))))
    filters = tuple(world.filter(text, asked) for text in query.where)
    ask = Ask(items, filters, *widened(world, query, items, asked))
    aliases = {world.complete(item, asked): item.alias for item in query.group_by}
    names = [aliases.get(item) or world.column(item) for item in items]
    if not asked:
        return order_and_cut(query, *distinct_values(world, query, ask, names))
    answers = [compute(world, metric, ask) for metric in asked]
    names += [metric.alias or metric.name for metric in query.metrics]
    rows = [(*key, *(answer.of(key) for answer in answers)) for key in keys_of(answers)]
    rows = [row for row in rows if all(result_holds(text, names, row) for text in query.having)]
    return order_and_cut(query, names, rows)


@dataclass(frozen=True)
class Ask:
    """What is wanted of a metric: by which items, over which rows and moments (`first` and `last` inclusive).

    `shift` moves the metric in time: a Window (seen that much later) or a grain (every moment sees what was at
    the start of its period). `known` leaves only the facts knowable in [since, until) by that time dimension.
    """

    items: tuple[Ref, ...] = ()
    filters: tuple[Filter, ...] = ()
    first: dt.datetime | None = None
    last: dt.datetime | None = None
    shift: Window | str | None = None
    known: tuple[str | None, dt.datetime | None, dt.datetime] | None = None

    def within(self, moment: dt.datetime | None) -> bool:
        """No constraint lets everything through; any constraint keeps a fact without a time out."""
        if self.first is None and self.last is None:
            return True
        return moment is not None and (self.first or moment) <= moment <= (self.last or moment)


@dataclass(frozen=True)
class Answer:
    """A value for each group; `missing` is the value of a group that is not there (`fill_nulls_with`)."""

    rows: dict[Key, Any]
    missing: Any = None

    def of(self, key: Key) -> Any:
        return self.rows.get(key, self.missing)


def widened(
    world: World, query: Query, items: Sequence[Ref], metrics: Sequence[Metric]
) -> tuple[dt.datetime | None, dt.datetime | None]:
    """The constraint, out to whole periods of the finest metric_time grain that is asked for.

    A custom grain counts only if there is no other, and by the grain of its spine. Where metric_time is not asked
    for, the grain counts that it would have. Grains in filters and of other time dimensions do not matter.
    The last period counts to its last instant.
    """
    if query.start is None and query.end is None:
        return None, None
    asked = [item for item in items if item.name == "metric_time" and item.grain]
    own = coarsest([world.default_grain(metric) for metric in metrics] or ["day"])
    grain = world.standard(world.finest(asked)) if asked else own
    last = query.end and after(query.end, grain) - dt.timedelta(microseconds=1)
    return query.start and truncate(query.start, grain), last


def by_entity(world: World, ref: Ref) -> dict[Any, Any]:
    """A metric inside a filter, by its entity: all of it, unfiltered. A NULL is no entity."""
    rows = compute(world, world.metrics[ref.name], Ask(tuple(world.single(ref.entities[0])))).rows
    return {key: value for key, value in rows.items() if None not in key}


def keys_of(answers: Iterable[Answer]) -> list[Key]:
    """Every group that any of the metrics has; a NULL in a group is a value like any other."""
    return list(dict.fromkeys(key for answer in answers for key in answer.rows))


def result_holds(text: str, names: Sequence[str], row: Key) -> bool:
    values = dict(zip(names, row, strict=True))
    return expression(text, values.__getitem__) is True


def order_and_cut(query: Query, names: list[str], rows: list[Key]) -> tuple[list[str], list[Key]]:
    """Sorted by the last key first, NULLs last either way; rows that tie are in no order."""
    for order in reversed(query.order_by):
        name = str(order.key)
        at = place_of(name, names)
        nulls = [row for row in rows if row[at] is None]
        values = [row for row in rows if row[at] is not None]
        rows = sorted(values, key=lambda row: row[at], reverse=order.descending) + nulls
    return names, rows[: query.limit]


def place_of(name: str, names: Sequence[str]) -> int:
    """The column that an order names: `metric_time` is `metric_time__day`, unless a column is called just that."""
    begun = (place for place, column in enumerate(names) if column.startswith(f"{name}__"))
    return names.index(name) if name in names else next(begun)


# --- Metrics ------------------------------------------------------------------------------------------------


def compute(world: World, metric: Metric, ask: Ask) -> Answer:
    """One clause a metric type."""
    match metric.definition:
        case Simple() as simple:
            seen = kept(world, own_time(world, metric, ask), world.filters(metric))
            return grouped(world, metric, asked_for(world, seen, simple.measure, ask), ask)
        case Cumulative() as cumulative:
            return accumulated(world, metric, cumulative, ask)
        case Ratio(numerator, denominator):
            return composed(world, metric, (numerator, denominator), divide, ask)
        case Derived(expr, inputs):
            handles = [used.handle for used in inputs]

            def formula(*values: Any) -> Any:
                return expression(expr, dict(zip(handles, values, strict=True)).__getitem__)

            return composed(world, metric, inputs, formula, ask)
        case Conversion() as conversion:
            return converted(world, metric, conversion, ask)
        case _:
            assert_never(metric.definition)


@dataclass(frozen=True)
class Seen:
    """A fact as it is seen at a moment."""

    fact: Fact
    moment: dt.datetime | None


def own_time(world: World, metric: Metric, ask: Ask) -> list[Seen]:
    facts = world.facts(metric.definition.measure)
    return [Seen(fact, fact.time) for fact in facts if knowable(fact, ask)]


def knowable(fact: Fact, ask: Ask) -> bool:
    if ask.known is None:
        return True
    dimension, since, until = ask.known
    time = fact.raw(element_of(fact.model, dimension or fact.clock).expr)
    return time is not None and (since is None or since <= time) and time < until


def kept(world: World, seen: Iterable[Seen], filters: Sequence[Filter]) -> list[Seen]:
    """What every filter is true of. Not known is not true."""
    return [one for one in seen if all(world.holds(test, one.fact, one.moment) for test in filters)]


def grouped(world: World, metric: Metric, seen: list[Seen], ask: Ask, moment: Ref | None = None) -> Answer:
    """By the asked items. A group without facts is not there; a query without items has exactly one group."""
    measure = metric.definition.measure
    if measure.non_additive:
        seen = at_the_boundary(world, measure, seen, (moment, *ask.items) if moment else ask.items)
    groups: dict[Key, list[Any]] = {} if ask.items else {(): []}
    for one in seen:
        key = tuple(world.value(item, one.fact, one.moment) for item in ask.items)
        groups.setdefault(key, []).append(measured(one.fact, measure))
    return settled(world, metric, groups, ask)


def measured(fact: Fact, measure: Measure) -> Any:
    """What a measure aggregates of a row; of a flag, 1 where it is true and 0 elsewhere."""
    value = fact.raw(measure.expr)
    return int(value is True) if measure.is_flag else value


def settled(world: World, metric: Metric, groups: dict[Key, list[Any]], ask: Ask) -> Answer:
    """Aggregate, lay on the time spine, fill."""
    simple: Simple = metric.definition
    rows = {key: aggregate(simple.measure, values) for key, values in groups.items()}
    if simple.join_to_timespine:
        rows = on_the_spine(world, metric, rows, ask)
    fill = simple.fill_nulls_with
    return Answer({key: fill if value is None else value for key, value in rows.items()}, fill)


def on_the_spine(world: World, metric: Metric, rows: dict[Key, Any], ask: Ask) -> dict[Key, Any]:
    """Every period of the spine has a row, if need be one with no dimensions and no value; no other period has.

    Only where a time is asked for. Moments are cut by the constraint and by those filters (the query's and the
    metric's own) that speak of nothing but the metric's time; of a metric moved in time only by the query's, as its
    own have chosen what moves. The query's other filters are asked again of the rows, as far as they speak of asked
    items only: a made-up row has no status, so `status = 'done'` drops it if status is asked for, and keeps it if
    not.
    """
    measure = metric.definition.measure
    times = world.moment_items(measure, ask.items)
    if not times:
        return rows
    filters = (*(() if ask.shift else world.filters(metric)), *ask.filters)
    inside = bounds(world, measure, filters, ask)
    moments = filter(inside, world.spine(world.spine_grain(times_spoken_of(world, measure, times, filters))))
    by_period: dict[Key, dict[Key, Any]] = {tuple(world.at(moment, item) for item in times): {} for moment in moments}
    for key, value in rows.items():
        period = tuple(part for item, part in zip(ask.items, key, strict=True) if item in times)
        if period in by_period:
            by_period[period][key] = value
    result: dict[Key, Any] = {}
    for period, there in by_period.items():
        parts = iter(period)
        result |= there or {tuple(next(parts) if item in times else None for item in ask.items): None}
    again = [test for test in ask.filters if set(test.refs) <= set(ask.items) and not world.only_time(test, measure)]
    return {key: value for key, value in result.items() if all(row_holds(test, ask.items, key) for test in again)}


def bounds(world: World, measure: Measure, filters: Sequence[Filter], ask: Ask) -> Callable[[dt.datetime], bool]:
    """Whether the constraint, and the filters that speak of nothing but the metric's time, let a moment in."""
    tests = [test for test in filters if world.only_time(test, measure)]

    def let_in(moment: dt.datetime) -> bool:
        return ask.within(moment) and all(t.holds([world.at(moment, ref) for ref in t.refs]) for t in tests)

    return let_in


def times_spoken_of(world: World, measure: Measure, times: Sequence[Ref], filters: Iterable[Filter]) -> list[Ref]:
    return [*times, *(ref for test in filters if world.only_time(test, measure) for ref in test.refs)]


def row_holds(test: Filter, items: Sequence[Ref], key: Key) -> bool:
    return test.holds([key[items.index(ref)] for ref in test.refs])


def asked_for(world: World, seen: list[Seen], measure: Measure, ask: Ask) -> list[Seen]:
    """The offset, then the constraint and the filters of the query and of the metrics above.

    These judge the moment, so after an offset or an accumulation they cut what comes out, not what goes in.
    """
    if ask.shift is None:
        return [one for one in kept(world, seen, ask.filters) if ask.within(one.moment)]
    others = [test for test in ask.filters if not world.only_time(test, measure)]
    return kept(world, shifted(world, seen, measure, ask), others)


def shifted(world: World, seen: list[Seen], measure: Measure, ask: Ask) -> list[Seen]:
    """Moved in time.

    Where the finest asked grain is no coarser than the offset, and the offset is whole periods of it, a moment `t` of
    the spine sees what was at `t - offset`: a month's total moves as a whole (and by day, Mar 29, 30 and 31 each show
    Feb 29 for an offset of a month, as SQL's calendar has it). Otherwise each fact moves by the offset, from one step
    of the metric's own grain to another, and is grouped then: a year is no whole weeks, a quarter no whole years, and
    periods need not nest (weeks and months, custom grains). Each fact is then seen once, Feb 29 a year later on
    Feb 28. An offset to the start of a coarser period keeps only the moments that begin a period; by custom periods a
    day looks at a day. A period is let in if the constraint and time filters let any moment of it in.
    """
    times = world.moment_items(measure, ask.items)
    if not times:
        raise Undefined("an offset needs a time")
    to_start = isinstance(ask.shift, str)
    unit = ask.shift if isinstance(ask.shift, str) else ask.shift.unit
    whole = world.step(times, unit, to_start=to_start)
    spoken = times_spoken_of(world, measure, times, ask.filters)
    step = whole or world.step_of_facts(measure, unit, spoken)
    moments = world.moments(step, bounds(world, measure, ask.filters, ask), spoken)
    present = [one for one in seen if one.moment is not None]  # a moment before the first custom period is none
    if isinstance(ask.shift, Window) and is_standard(unit) and whole is None:
        if not lands(ask.shift, step) and step != "week":
            raise Undefined("an offset finer than the facts")
        shown = {world.period(moment, step): moment for moment in moments}
        later = [(one, world.period(minus(one.moment, Window(-ask.shift.count, unit)), step)) for one in present]
        return [replace(one, moment=shown[period]) for one, period in later if period in shown]
    by_time: dict[Any, list[Seen]] = {}
    for one in present:
        by_time.setdefault(world.period(one.moment, step), []).append(one)
    result = []
    for moment in moments:
        begins = any(world.period(moment, item.grain) == moment for item in times if item.grain)
        if begins or not to_start:
            result += [replace(one, moment=moment) for one in by_time.get(world.back(moment, ask.shift, step), [])]
    return result


def lands(window: Window, grain: str) -> bool:
    """Whether so long before the start of a period is always the start of one: 7 days by week, but no month."""
    starts = [dt.datetime(2024, month, 1) for month in range(1, 13)] + [
        dt.datetime(2023, 1, 2),
        dt.datetime(2024, 3, 4),
    ]
    before = [minus(truncate(start, grain), window) for start in starts]
    return all(truncate(moment, grain) == moment for moment in before)


def accumulated(world: World, metric: Metric, cumulative: Cumulative, ask: Ask) -> Answer:
    """At every moment `s` of the spine, the facts in (s - window, s], or since the start of the period, or all.

    A moment that sees no facts has no row, so the last row is `window - 1` days past the last fact. The own
    filters see `s`. Asked at a coarser grain, the metric is made at its own grain first, and the period takes
    the first (unless told otherwise) of the rows that the group has in it, a NULL among them. Without a time an
    all-time metric is a plain aggregate of all there was up to the constraint's end, and the others are refused.
    """
    source = world.metrics[cumulative.input.name]
    source = replace(source, filters=(*source.filters, *metric.filters, *cumulative.input.filters))
    measure = source.definition.measure
    filters = world.filters(source)
    seen = own_time(world, source, ask)
    times = world.moment_items(measure, ask.items)
    uneven = isinstance(ask.shift, Window) and ask.shift.unit in ("month", "quarter", "year")
    if uneven and any(item.grain == "week" for item in times) and world.finest(times) == "week":
        raise Undefined("an accumulation by week, a month ago")
    if not times:
        if cumulative.window or cumulative.grain_to_date:
            raise Undefined("a window needs a time")
        ever = replace(ask, first=None)
        return Answer(grouped(world, source, asked_for(world, kept(world, seen, filters), measure, ever), ever).rows)
    spoken = [ref for test in filters for ref in test.refs] + [ref for test in ask.filters for ref in test.refs]
    back = cumulative.window.unit if cumulative.window else cumulative.grain_to_date
    grain = world.spine_step(measure, (*times, *world.moment_items(measure, spoken)), back)
    seen = [
        replace(one, moment=moment)
        for moment in world.moments(grain)
        for one in seen
        if one.moment is not None and reaches(cumulative, truncate(one.moment, grain), moment)
    ]
    seen = kept(world, seen, filters)
    each = Ref("metric_time", grain=grain)
    if any(item.grain == grain for item in times):
        return Answer(grouped(world, source, asked_for(world, seen, measure, ask), ask, each).rows)
    finely = replace(ask, items=(*ask.items, each))
    rows = grouped(world, source, asked_for(world, seen, measure, finely), finely, each).rows
    in_order = sorted(rows.items(), key=lambda row: (repr(row[0][:-1]), row[0][-1]))
    periods = groupby(in_order, key=lambda row: row[0][:-1])
    return Answer({key: of_period(cumulative, [value for _, value in group]) for key, group in periods})


def reaches(cumulative: Cumulative, time: dt.datetime, moment: dt.datetime) -> bool:
    """Whether a moment sees a time: not a later one. Windows count by the calendar: two months before Apr 30 is Feb
    29, or 28."""
    if time > moment:
        return False
    if cumulative.window:
        return time > minus(moment, cumulative.window)
    return cumulative.grain_to_date is None or time >= truncate(moment, cumulative.grain_to_date)


def of_period(cumulative: Cumulative, values: list[Any]) -> Any:
    match cumulative.period_agg:
        case "first":
            return values[0]
        case "last":
            return values[-1]
        case "average":
            return average([value for value in values if value is not None])


def composed(
    world: World, metric: Metric, inputs: Sequence[MetricInput], formula: Callable[..., Any], ask: Ask
) -> Answer:
    """A formula over other metrics, group by group: every group that any of them has.

    The filters of the metric, of the input and of the query go down to every leaf. Each input may be moved on its
    own. When the formula itself is moved (as the input of another), it is computed as it was: filters that do not
    speak of time go down, constraint and time filters judge the moment at which it is then seen.
    """
    inner = unmoved(world, metric, ask)
    answers = []
    for used in inputs:
        source = world.metrics[used.name]
        filters = (*world.filters(source, used), *world.filters(metric), *inner.filters)
        shift = used.offset_window or used.offset_to_grain
        answers.append(compute(world, source, replace(inner, filters=filters, shift=shift)))
    rows = {key: formula(*(answer.of(key) for answer in answers)) for key in keys_of(answers)}
    return Answer(moved_rows(world, metric, rows, ask) if ask.shift else rows)


def unmoved(world: World, metric: Metric, ask: Ask) -> Ask:
    """What is asked of a metric at the moment that is looked at, if it is moved as a whole."""
    if ask.shift is None:
        return ask
    down = tuple(test for test in ask.filters if not world.speaks_of_time(test, metric))
    return replace(ask, shift=None, filters=down, first=None, last=None)


def moved_rows(world: World, metric: Metric, rows: dict[Key, Any], ask: Ask) -> dict[Key, Any]:
    """An offset of results: the step is the finest asked grain, and the offset must be whole steps."""
    measure = world.measures(metric)[0]
    times = world.moment_items(measure, ask.items)
    if not times:
        raise Undefined("an offset needs a time")
    grain = world.finest(times)
    if world.step(times, grain, to_start=False) is None:
        raise Undefined("an offset of results by periods that do not nest")
    if isinstance(ask.shift, str):
        starts = {truncate(moment, ask.shift) for moment in world.moments(grain)}
        if is_standard(grain) and any(truncate(start, grain) != start for start in starts):
            raise Undefined("the start of a period that is not the start of another")
    elif is_standard(ask.shift.unit) and is_standard(grain) and not lands(ask.shift, grain):
        raise Undefined("an offset of results that is not whole periods")
    place = next(i for i, item in enumerate(ask.items) if item in times and item.grain == grain)
    filters = tuple(test for test in ask.filters if world.speaks_of_time(test, metric))
    if any(not world.only_time(test, measure) for test in filters):
        raise Undefined("a filter on time and something else, above an offset of results")
    result: dict[Key, Any] = {}
    spoken = times_spoken_of(world, measure, times, filters)
    for moment in world.moments(grain, bounds(world, measure, filters, ask), spoken):
        before = world.back(moment, ask.shift, grain)
        for key, value in rows.items():
            if before is not None and key[place] == before:
                pairs = zip(ask.items, key, strict=True)
                result[tuple(world.at(moment, item) if item in times else part for item, part in pairs)] = value
    return result


def converted(world: World, metric: Metric, conversion: Conversion, ask: Ask) -> Answer:
    """A conversion event belongs to the latest base event of its entity at or before it, within the window.

    It is counted at that base event's time and dimensions. Times are compared at the coarser of the two grains: by
    day, an order in the morning follows from a visit in the afternoon. Base events at the same time are one, with
    the least value of each item (MetricFlow picks any). A NULL entity or property matches nothing. Filters and
    constraint hold for base events only; a conversion event has its own metric's filters,
    and those that it is given where it is used.
    Every group of base events has a row, NULL (or the fill) where nothing was converted; only the base is laid on
    the spine. Moved in time, the result moves, as that of a formula does.
    """
    if ask.shift:
        rows = converted(world, metric, conversion, unmoved(world, metric, ask)).rows
        return Answer(moved_rows(world, metric, rows, ask))
    base, counted = world.metrics[conversion.base.name], world.metrics[conversion.conversion.name]
    filters = (*world.filters(base), *world.filters(base, conversion.base), *world.filters(metric), *ask.filters)
    seen = [one for one in kept(world, own_time(world, base, ask), filters) if ask.within(one.moment)]
    own = (*world.filters(counted), *world.filters(counted, conversion.conversion))
    events = kept(world, own_time(world, counted, ask), own)
    grain = coarsest([world.grain_of(metric.definition.measure) for metric in (base, counted)])
    same = ((conversion.entity, conversion.entity), *conversion.constant_properties)

    def led_to(one: Seen, event: Seen) -> bool:
        start, end = truncate(one.moment, grain), truncate(event.moment, grain)
        if start is None or end is None or start > end:
            return False
        ours = [one.fact.element(name) for name, _ in same]
        theirs = [event.fact.element(name) for _, name in same]
        near = conversion.window is None or start > minus(end, conversion.window)
        return near and None not in ours and ours == theirs

    groups: dict[Key, list[Any]] = {} if ask.items else {(): []}
    for event in events:
        before = [one for one in seen if led_to(one, event)]
        latest = max((truncate(one.moment, grain) for one in before), default=None)
        tied = [one for one in before if truncate(one.moment, grain) == latest]
        if tied:
            key = tuple(least(world.value(item, one.fact, one.moment) for one in tied) for item in ask.items)
            groups.setdefault(key, []).append(measured(event.fact, counted.definition.measure))
    off_spine = replace(counted, definition=replace(counted.definition, join_to_timespine=False))
    bases, conversions = grouped(world, base, seen, ask), settled(world, off_spine, groups, ask)
    rows = {key: (conversions.of(key), bases.of(key)) for key in keys_of((bases, conversions))}
    rated = conversion.calculation == "conversion_rate"
    return Answer({key: divide(*pair) if rated else pair[0] for key, pair in rows.items()})


def least(values: Iterable[Any]) -> Any:
    return min((value for value in values if value is not None), default=None)


def at_the_boundary(world: World, measure: Measure, seen: list[Seen], items: Sequence[Ref]) -> list[Seen]:
    """Only what was seen on the first or last day (of the dimension) of its group, after the filters.

    The group is the window groupings and the asked grain of that dimension (or of metric_time, when that is the
    same); accumulated, it is what each moment sees. Other asked items do not enter: a currency without a row on the
    last day has no balance. A row whose grouping or day is NULL is left out.
    """
    rule = measure.non_additive
    aliases = (rule.dimension, "metric_time") if rule.dimension == measure.time_dimension else (rule.dimension,)
    asked = next((item for item in items if item.name in aliases), None)
    extreme = max if rule.choice == "max" else min
    groups: dict[Key, list[tuple[Any, Seen]]] = {}
    for one in seen:
        grouping = tuple(one.fact.element(entity) for entity in rule.groupings)
        day = one.fact.element(rule.dimension)
        if day is not None and None not in grouping:
            period = world.value(asked, one.fact, one.moment) if asked else None
            groups.setdefault((*grouping, period), []).append((day, one))
    return [one for group in groups.values() for day, one in group if day == extreme(d for d, _ in group)]


# --- Aggregates ---------------------------------------------------------------------------------------------


def aggregate(measure: Measure, values: list[Any]) -> Any:
    """NULLs do not count. Of nothing at all, a distinct count is 0 and all else NULL, a count too."""
    known = [value for value in values if value is not None]
    match measure.agg:
        case "sum":
            return sum(known) if known else None
        case "count":
            return len(known) if values else None
        case "count_distinct":
            return len(set(known))
        case "min" | "max":
            return (min if measure.agg == "min" else max)(known, default=None)
        case "average":
            return average(known)
        case "percentile":
            return percentile(sorted(known), measure.percentile.fraction, discrete=measure.percentile.discrete)
        case _:
            assert_never(measure.agg)


def average(values: list[Any]) -> float | None:
    return sum(values) / len(values) if values else None


def percentile(ordered: list[Any], fraction: float, *, discrete: bool) -> Any:
    """Discrete: the least value that at least `fraction` of the values do not exceed. Else between neighbours."""
    if not ordered:
        return None
    if discrete:
        return ordered[max(math.ceil(round(fraction * len(ordered), 9)) - 1, 0)]
    place = fraction * (len(ordered) - 1)
    low = ordered[math.floor(place)]
    return low + (ordered[math.ceil(place)] - low) * (place - math.floor(place))


def divide(numerator: Any, denominator: Any) -> float | None:
    """Floating, and NULL rather than an error or an infinity where the denominator is 0."""
    return None if numerator is None or not denominator else numerator / denominator


# --- Distinct values and features ---------------------------------------------------------------------------


def distinct_values(world: World, query: Query, ask: Ask, names: list[str]) -> tuple[list[str], list[Key]]:
    """The combinations that exist, of items alone; models meet through their entity, unmatched rows of both stay.

    metric_time is any moment of the spine. The least and greatest values only, for `min_max_only`.
    """
    wanted = (*ask.items, *(ref for test in ask.filters for ref in test.refs))
    if any(ref.entities for ref in wanted):
        raise Undefined("a metric in a filter of values: tests/properties/test_cases.py has its cases")
    times = [ref for ref in wanted if ref.name == "metric_time"]
    others = [ref for ref in wanted if ref.name != "metric_time"]
    facts = world.meeting(others) if others else [None]
    moments = [moment for moment in world.spine(world.finest(times)) if ask.within(moment)] if times else [None]
    rows = dict.fromkeys(
        tuple(world.value(item, fact, moment) for item in ask.items)
        for fact in facts
        for moment in moments
        if all(world.holds(test, fact, moment) for test in ask.filters)
    )
    if not query.min_max_only:
        return names, list(rows)
    known = [row[0] for row in rows if row[0] is not None]
    return [f"{names[0]}__min", f"{names[0]}__max"], [(min(known, default=None), max(known, default=None))]


def feature(
    manifest: Manifest,
    tables: dict[str, list[Row]],
    metric: str,
    entity: str,
    moment: dt.datetime,
    window: Window | None = None,
    known_at: str | None = None,
) -> dict[Any, Any]:
    """F(entity, m, w): the metric over the facts of each entity that were knowable in [m - w, m).

    A fact at `m` itself does not count. Knowable at the measure's own time unless `known_at` names another
    time dimension of the fact's model (`flight__landed_at`); as it stands, not cut to its grain. A fact without
    that time was never knowable. Entities without a fact in the window are not there; NULL is no entity. One that
    the facts lead to over others is `customer__region`.
    """
    world = World(manifest, tables, by_entity)
    known = known_at and known_at.split("__")[-1]
    asked, since = world.metrics[metric], minus(moment, window) if window else None
    if isinstance(own := asked.definition, Cumulative):
        # The window is the metric's own; of a period to date, the one in which the last instant before `m` lies.
        source = world.metrics[own.input.name]
        since = truncate(moment - dt.timedelta(microseconds=1), own.grain_to_date) if own.grain_to_date else None
        since = minus(moment, own.window) if own.window else since
        asked = replace(source, filters=(*source.filters, *asked.filters, *own.input.filters))
    *links, name = entity.split("__")
    ask = Ask((Ref(name, tuple(links)),), known=(known, since, moment))
    answer = compute(world, asked, ask)
    return {key[0]: value for key, value in answer.rows.items() if key[0] is not None}


def exact_feature(
    manifest: Manifest,
    tables: dict[str, list[Row]],
    metric: str,
    entity: str,
    moment: dt.datetime,
    window: Window | None = None,
    known_at: str | None = None,
    *,
    metrics: Iterable[str],
) -> dict[Any, Any]:
    """As `feature`, with all entities of which the moment sees any fact of the view's `metrics`.

    Without a fact in the window they have the metric's value over no facts, which is NULL unless the metric fills it.
    """
    found = feature(manifest, tables, metric, entity, moment, window, known_at)
    world = World(manifest, tables, by_entity)
    known = known_at and known_at.split("__")[-1]
    nothing = compute(world, world.metrics[metric], Ask(known=(known, moment, moment))).of(())
    return {key: found.get(key, nothing) for key in entities_seen(manifest, tables, metrics, entity, moment, known_at)}


def entities_seen(
    manifest: Manifest,
    tables: dict[str, list[Row]],
    metrics: Iterable[str],
    entity: str,
    moment: dt.datetime,
    known_at: str | None = None,
) -> set[Any]:
    """The entities with a fact of any of the metrics that was knowable before a moment, whether or not the fact passes
    the metric's filters: from then on they have features, among them their dimensions with a history."""
    world = World(manifest, tables, by_entity)
    ask = Ask(known=(known_at and known_at.split("__")[-1], None, moment))
    *links, name = entity.split("__")
    measures = [measure for metric in metrics for measure in world.measures(world.metrics[metric])]
    facts = [fact for measure in measures for fact in world.facts(measure) if knowable(fact, ask)]
    return {world.value(Ref(name, tuple(links)), fact, fact.time) for fact in facts} - {None}
