"""Features: the metrics of an entity at the moments of a schedule, over trailing windows. In front of the same plan.

`F(entity, m, w)` is the metric over the facts that were knowable in `[m - w, m)`. Facts are first summed into the
schedule's steps, each under the first moment that can see it (its step's end), then looked at from every moment.
"""

from dataclasses import dataclass, replace
from typing import Literal

from sqlglot import exp

from gemel.compiler.algebra import (
    Aggregate,
    AsOf,
    Combine,
    Derive,
    Lookup,
    Moments,
    Named,
    Plan,
    Scan,
    Summary,
    Windowed,
)
from gemel.compiler.expressions import column, equal, filled, interval, present, substitute
from gemel.compiler.facts import expression, filtered, truncated
from gemel.compiler.graph import Attribute, Graph, inputs
from gemel.compiler.keys import make_key
from gemel.compiler.parts import gather, parts, whole
from gemel.compiler.planning import cell_names, cells_of, facts_of
from gemel.compiler.resolution import Scope
from gemel.compiler.spellings import parse_item
from gemel.compiler.terms import Formula, Leaf, PerEntity, Term
from gemel.errors import About, BridgeError, DefinitionError, did_you_mean
from gemel.spec.manifest import Conversion, Cumulative, Dimension, Metric
from gemel.spec.time import SECONDS, Window, seconds

MOMENT = "event_timestamp"


@dataclass(frozen=True, slots=True)
class MetricFeature:
    """A metric over the last `window` (None: all time), cast to SQL type `type`. `part` takes one side of a ratio."""

    column: str
    metric: str
    window: Window | None
    type: str | None = None
    part: Literal["numerator", "denominator"] | None = None


@dataclass(frozen=True, slots=True)
class DimensionFeature:
    """A dimension of the entity as it is now: `carrier__name`."""

    column: str
    dimension: str
    type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureQuery:
    """What one feature view holds: `features` of `entities` at the moments of `schedule` (hour, day, week …).

    `known_at` names the time dimension at which facts become known (None: each measure's own time). `delay` moves
    the moment, not the content. `every_step` asks for a row at every step, not only where a value changes. `until`
    is the time after which nothing is known yet: an SQL expression, or None to look at all facts.
    """

    entities: tuple[str, ...]
    schedule: str
    features: tuple[MetricFeature | DimensionFeature, ...]
    until: exp.Expr | None
    known_at: str | None = None
    delay: Window | None = None
    every_step: bool = False


def plan_features(graph: Graph, query: FeatureQuery) -> Plan:
    """Columns: the entities, `event_timestamp`, then the features in order. Raises BridgeError (G51x) for what has
    no meaning as a feature, or none yet."""
    metrics = [feature for feature in query.features if isinstance(feature, MetricFeature)]
    if not metrics:
        raise BridgeError("G511", "a feature view needs at least one metric, whose facts make its rows")
    step = _step(query.schedule)
    terms = {feature: feature_term(graph, query, feature) for feature in metrics}
    leaves = tuple(dict.fromkeys(leaf for term in terms.values() for leaf in leaves_of(term)))
    names = cell_names(leaves, tuple(key for key, _ in leaves[0].keys))
    kept = {leaf: parts_of(graph, leaf, names[leaf]) for leaf in leaves}
    buckets = [by_step(graph, query, leaf, part, step) for leaf in leaves for part in kept[leaf]]
    keys = tuple(key.name for key, _ in leaves[0].keys)
    facts: Plan = buckets[0] if len(buckets) == 1 else Combine(tuple(buckets), (*keys, MOMENT))
    windows = tuple(dict.fromkeys(f.window for f in metrics if f.window and seconds(f.window) > 0))
    moments = Moments(facts, keys, MOMENT, windows, _floor(query), step if query.every_step else None)
    looks = {
        Windowed(windowed_name(part.name, feature.window), gather(part), part.name, feature.window): None
        for feature, term in terms.items()
        for leaf in leaves_of(term)
        for part in kept[leaf]
    }
    seen = AsOf(moments, facts, step, tuple(looks))
    rows: Plan = Scan(seen, "features")
    outputs = [Named(key, column(key, "features")) for key in keys]
    moment: exp.Expr = column(MOMENT, "features")
    if query.delay:
        moment = exp.Add(this=moment, expression=interval(query.delay))
    outputs.append(Named(MOMENT, moment))
    for feature in query.features:
        if isinstance(feature, MetricFeature):
            value = over_window(terms[feature], kept, feature.window)
        else:
            rows, value = with_dimension(graph, query, feature, rows)
        outputs.append(Named(feature.column, typed(value, feature.type)))
    return Derive(rows, tuple(outputs))


def _step(schedule: str) -> Window:
    if schedule not in SECONDS:
        raise BridgeError("G512", f"no schedule {schedule!r}", hint=f"one of {', '.join(SECONDS)}")
    return Window(1, schedule)


def feature_term(graph: Graph, query: FeatureQuery, feature: MetricFeature) -> Term:
    """The feature's metric, placed in time by when its facts become known."""
    metric = graph.metric(feature.metric)
    _check_window(query, feature)
    _check_meaning(graph, metric)
    keys = tuple(make_key(graph, parse_item(entity), [metric]) for entity in query.entities)
    term = Scope(graph, keys, None, [metric]).term(metric, ())
    if feature.part is not None:
        if not isinstance(term, Formula) or feature.part not in dict(term.inputs):
            raise BridgeError("G513", f"metric {metric.name!r} is no ratio, so it has no {feature.part}")
        term = dict(term.inputs)[feature.part]
    return _known(graph, query, term)


def _check_window(query: FeatureQuery, feature: MetricFeature) -> None:
    window = feature.window
    if window is None:
        return
    if window.unit not in SECONDS:
        raise BridgeError(
            "G514",
            f"a window of {window} is not always equally long, which features cannot have yet",
            hint=f"count it in days, such as {30 * window.count} days",
        )
    if window.count < 1 or seconds(window) % seconds(Window(1, query.schedule)):
        raise BridgeError(
            "G515",
            f"a window of {window} is not a whole number of steps of the schedule ({query.schedule})",
            hint="choose a finer schedule, or a window that is a multiple of it",
        )


def _check_meaning(graph: Graph, metric: Metric) -> None:
    """Raises BridgeError (G517) for a metric that looks over time by its own definition."""
    graph.measures(metric)  # refuses a circle
    shifted = any(used.offset_window or used.offset_to_grain for used in inputs(metric))
    if isinstance(metric.definition, Cumulative | Conversion) or shifted:
        raise BridgeError(
            "G517",
            f"metric {metric.name!r} is accumulated, moved in time or a conversion, which is no feature yet",
            hint="take the simple metrics that it is made of and give the feature a window",
            about=About("metric", metric.name),
        )
    for used in inputs(metric):
        _check_meaning(graph, graph.input_metric(used, by=metric.name))


def _known(graph: Graph, query: FeatureQuery, term: Term) -> Term:
    if isinstance(term, Formula):
        return replace(term, inputs=tuple((handle, _known(graph, query, t)) for handle, t in term.inputs))
    assert isinstance(term, Leaf)
    if any(isinstance(operand, PerEntity) for predicate in term.filters for operand in predicate.operands):
        raise BridgeError(
            "G517",
            f"a filter by another metric ({term.filters[0].template.text.strip()}) sees facts of all time, those after "
            "a moment too, so its metric is no feature",
            hint="filter by dimensions",
        )
    return replace(term, time=_known_at(graph, query, term), spine=False)


def leaves_of(term: Term) -> list[Leaf]:
    return [cell for cell in cells_of(term) if isinstance(cell, Leaf)]


def _known_at(graph: Graph, query: FeatureQuery, leaf: Leaf) -> Attribute:
    if query.known_at is None:
        return leaf.time
    segments = parse_item(query.known_at).segments
    found = graph.attribute(leaf.measure.model, segments)
    if found is None or not isinstance(found.element, Dimension) or not found.element.is_time:
        prefix = (graph.ways.prefixes(leaf.measure.model) or (leaf.measure.model,))[0]
        times = [f"{prefix}__{d.name}" for d in graph.models[leaf.measure.model].dimensions if d.is_time]
        raise BridgeError(
            "G516",
            f"known_at {query.known_at!r} is not a time dimension that measure {leaf.measure.name!r} has",
            hint=did_you_mean(query.known_at, times) or f"one of {', '.join(times)}",
        )
    return found


def parts_of(graph: Graph, leaf: Leaf, name: str) -> tuple[Summary, ...]:
    """What is summed per step so that any window can be put together from steps."""
    measure = leaf.measure
    kept = parts(leaf, name, facts_of(graph, leaf).measured(leaf)) if measure.non_additive is None else None
    if kept is None:
        raise BridgeError(
            "G517",
            f"measure {measure.name!r} ({measure.agg.replace('_', ' ')}) cannot be put together from steps of time, "
            "so it is no feature yet",
            hint="sums, counts, averages, minima, maxima, and ratios of them are",
            about=About("semantic_model", measure.model, measure.name),
        )
    return kept


def by_step(graph: Graph, query: FeatureQuery, leaf: Leaf, part: Summary, step: Window) -> Plan:
    """One part of a leaf per entity and step, under the step's end."""
    facts = facts_of(graph, leaf)
    keys = [Named(key.name, facts.operand(attribute)) for key, attribute in leaf.keys]
    known = facts.moment()
    # A fact without an entity is nobody's, one without a time never becomes known.
    conditions: list[exp.Expr] = [present(value.copy()) for value in [*(k.value for k in keys), known]]
    if query.until is not None:
        conditions.append(exp.LT(this=known.copy(), expression=_floor(query)))
    rows = filtered(facts.where(leaf.filters), conditions)
    moment = exp.Add(this=truncated(_timestamp(known), step.unit, None), expression=interval(step))
    return Aggregate(rows, (*keys, Named(MOMENT, moment)), (part,))


def _timestamp(value: exp.Expr) -> exp.Expr:
    return exp.cast(value.copy(), exp.DataType.Type.TIMESTAMP)


def _floor(query: FeatureQuery) -> exp.Expr:
    """The last moment of the schedule whose facts are all known."""
    assert query.until is not None
    until: exp.Expr = query.until.copy()
    if query.delay:
        until = exp.Sub(this=until, expression=interval(query.delay))
    return truncated(until, query.schedule, None)


def windowed_name(part: str, window: Window | None) -> str:
    return f"{part}_{window.count}_{window.unit}" if window else f"{part}_all"


def over_window(term: Term, kept: dict[Leaf, tuple[Summary, ...]], window: Window | None) -> exp.Expr:
    if isinstance(term, Formula):
        return substitute(term.expression, {h: over_window(inner, kept, window) for h, inner in term.inputs})
    assert isinstance(term, Leaf)
    return filled(whole(kept[term], lambda part: column(windowed_name(part, window), "features")), term.fill)


def with_dimension(graph: Graph, query: FeatureQuery, feature: DimensionFeature, rows: Plan) -> tuple[Plan, exp.Expr]:
    """The entity's own row, looked up by its key."""
    *path, name = parse_item(feature.dimension).segments
    owners = (
        [m for m in graph.ways.keyed(path[-1] if path else "") if graph.dimension(m, name)] if len(path) == 1 else []
    )
    if len(owners) != 1 or path[0] not in query.entities:
        known = [
            f"{e}__{d.name}" for e in query.entities for m in graph.ways.keyed(e) for d in graph.models[m].dimensions
        ]
        raise BridgeError(
            "G518",
            f"{feature.dimension!r} is not a dimension of {' or '.join(query.entities)}",
            hint=did_you_mean(feature.dimension, known) or (f"there are {', '.join(known[:8])}" if known else None),
        )
    model, entity = graph.models[owners[0]], path[0]
    dimension, key = graph.dimension(model.name, name), graph.entity(model.name, entity)
    assert dimension is not None and key is not None
    about = About("semantic_model", model.name, name)
    if graph.ways.has_validity(model.name):
        raise DefinitionError(
            "G519", f"{feature.dimension!r} has a history, which features cannot follow yet", about=about
        )
    on = equal(column(entity, "features"), expression(graph, key.expr, entity, about))
    right = Scan(model.relation, entity)
    joined = rows
    while isinstance(joined, Lookup) and joined.right != right:
        joined = joined.input
    rows = rows if isinstance(joined, Lookup) else Lookup(rows, right, on)
    value = truncated(expression(graph, dimension.expr, entity, about), dimension.grain, None)
    return rows, value


def typed(value: exp.Expr, type_: str | None) -> exp.Expr:
    return exp.cast(value, exp.DataType.build(type_, dialect="duckdb")) if type_ else value
