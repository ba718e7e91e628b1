"""Features: the metrics of an entity at the moments of a schedule, over trailing windows. In front of the same plan.

`F(entity, m, w)` is the metric over the facts that were knowable in `[m - w, m)`. Facts are first summed into the
schedule's steps, each under the first moment that can see it (its step's end), then looked at from every moment.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sqlglot import exp

from gemel.compiler.features.cells import MOMENT, Bounds, Cell, Counted, cell_of, windowed_name
from gemel.compiler.features.histories import own_row
from gemel.compiler.features.whole_windows import met, plan_gathered
from gemel.compiler.names.entities import entity_item
from gemel.compiler.names.graph import Attribute, Graph, inputs
from gemel.compiler.names.keys import make_key
from gemel.compiler.names.resolution import Filters, Given, Scope
from gemel.compiler.names.terms import Converted, Formula, Leaf, PerEntity, Term
from gemel.compiler.plan.algebra import (
    Aggregate,
    AsOf,
    Combine,
    Derive,
    Distinct,
    Filter,
    Join,
    Lookup,
    Moments,
    Named,
    Plan,
    Scan,
    Summary,
)
from gemel.compiler.plan.distinct import Back
from gemel.compiler.plan.facts import truncated
from gemel.compiler.plan.planning import cell_names, cells_of
from gemel.compiler.question.expressions import column, conjunction, equal, interval, substitute
from gemel.compiler.question.parsing import parse_item
from gemel.engines.duckdb import DIALECT
from gemel.errors import About, BridgeError, did_you_mean
from gemel.spec.manifest import Cumulative, Dimension, Metric
from gemel.spec.time import GRAINS, SECONDS, Window, finer, seconds


@dataclass(frozen=True, slots=True)
class MetricFeature:
    """A metric over the last `window` (None: all time), cast to SQL type `type`. `part` takes one side of a ratio.

    `own` takes the window that a cumulative metric defines.
    """

    column: str
    metric: str
    window: Window | None
    type: str | None = None
    part: Literal["numerator", "denominator"] | None = None
    own: bool = False


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
    the moment, not the content. `every_step` asks for a row at every step, not only where a value changes. `within`
    keeps only the rows from its first moment on and before its second. `until` is the time after which nothing is known
    yet: an SQL expression, or None to look at all facts.
    """

    entities: tuple[str, ...]
    schedule: str
    features: tuple[MetricFeature | DimensionFeature, ...]
    until: exp.Expr | None
    known_at: str | None = None
    delay: Window | None = None
    every_step: bool = False
    within: tuple[exp.Expr, exp.Expr] | None = None


def plan_features(graph: Graph, query: FeatureQuery) -> Plan:
    """Columns: the entities, `event_timestamp`, then the features in order. Raises BridgeError (G51x) for what has
    no meaning as a feature, or none yet."""
    metrics = [feature for feature in query.features if isinstance(feature, MetricFeature)]
    if not metrics:
        raise BridgeError("G511", "a feature view needs at least one metric, whose facts make its rows")
    step = _step(query.schedule)
    terms = _terms(graph, query, metrics)
    backs = {feature: sight(graph, feature) for feature in metrics}
    bounds = Bounds(_needed_since(graph, query, backs.values()), _floor(query))
    cells = cells_by_source(terms.values(), lambda source, name: cell_of(graph, source, name, step, bounds))
    seen_over = ((cells[part], backs[each]) for each, term in terms.items() for part in sources_of(term))
    looks = {(cell.name, back): (cell, back) for cell, back in seen_over}.values()
    steps = [plan for cell in cells.values() for plan in cell.steps()]
    keys = query.entities
    facts = _together(steps, keys)
    changed = [plan for cell, back in looks if (plan := cell.changes(back, step)) is not None]
    windows = tuple(dict.fromkeys(back for back in backs.values() if back is not None))
    turns: tuple[Plan, ...] = ()
    if not query.every_step:
        turns = (*_turns(graph, query, facts, keys), *(plan for cell in cells.values() for plan in cell.turns()))
    moments = Moments(facts, keys, MOMENT, windows, _floor(query), step, query.every_step, turns)
    values = dict.fromkeys(value for cell, back in looks for value in cell.looks(back))
    together = _together([*steps, *changed], keys) if changed else facts
    seen = AsOf(moments, together, step, tuple(values))
    rows: Plan = Scan(seen, "features")
    for cell, back in looks:
        if isinstance(cell, Counted) and cell.summary is not None:
            rows = _gathered(cell, cell.summary, moments, back, rows)
    outputs = [Named(key, column(key, "features")) for key in keys]
    moment: exp.Expr = column(MOMENT, "features")
    if query.delay:
        moment = exp.Add(this=moment, expression=interval(query.delay))
    outputs.append(Named(MOMENT, moment))
    if query.within:
        first, end = query.within
        rows = Filter(rows, conjunction([exp.GTE(this=moment, expression=first), exp.LT(this=moment, expression=end)]))
    for feature in query.features:
        if isinstance(feature, MetricFeature):
            value = over_window(terms[feature], cells, backs[feature])
        else:
            rows, value = with_dimension(graph, query, feature, rows)
        outputs.append(Named(feature.column, typed(value, feature.type)))
    return Derive(rows, tuple(outputs))


def _together(results: Sequence[Plan], keys: tuple[str, ...]) -> Plan:
    return results[0] if len(results) == 1 else Combine(tuple(results), (*keys, MOMENT))


def _gathered(cell: Counted, summary: Summary, moments: Moments, back: Back, rows: Plan) -> Plan:
    """The rows with what is gathered of all the facts in a window."""
    alias = windowed_name(cell.name, back)
    found = Scan(plan_gathered(cell.events, moments, back, summary), alias)
    return Lookup(rows, found, conjunction(met(moments.columns, "features", alias)))


def sight(graph: Graph, feature: MetricFeature) -> Back:
    """How far back a feature looks: over its window, over all time, or as its cumulative metric says."""
    definition = graph.metric(feature.metric).definition
    if feature.own and isinstance(definition, Cumulative):
        return definition.window or definition.grain_to_date
    return feature.window


def _step(schedule: str) -> Window:
    if schedule not in SECONDS:
        raise BridgeError("G512", f"no schedule {schedule!r}", hint=f"one of {', '.join(SECONDS)}")
    return Window(1, schedule)


def _terms(graph: Graph, query: FeatureQuery, features: Iterable[MetricFeature]) -> dict[MetricFeature, Term]:
    """By feature; a metric over several windows is one term."""
    made: dict[object, Term] = {}
    terms: dict[MetricFeature, Term] = {}
    for feature in features:
        asked = (feature.metric, feature.part, feature.own)
        if asked in made:
            _check_window(graph, query, feature)
        else:
            made[asked] = feature_term(graph, query, feature)
        terms[feature] = made[asked]
    return terms


def feature_term(graph: Graph, query: FeatureQuery, feature: MetricFeature) -> Term:
    """The feature's metric, placed in time by when its facts become known."""
    metric = graph.metric(feature.metric)
    _check_window(graph, query, feature)
    filters: Filters = ()
    if feature.own:
        metric, filters = _accumulated(graph, metric)
    _check_meaning(graph, metric)
    items = (entity_item(graph, entity, metric) for entity in query.entities)
    keys = tuple(make_key(graph, item, [metric]) for item in items)
    term = Scope(graph, keys, None, [metric]).term(metric, filters)
    if feature.part is not None:
        if not isinstance(term, Formula) or feature.part not in dict(term.inputs):
            raise BridgeError("G513", f"metric {metric.name!r} is no ratio, so it has no {feature.part}")
        term = dict(term.inputs)[feature.part]
    return _known(graph, query, term)


def _accumulated(graph: Graph, metric: Metric) -> tuple[Metric, Filters]:
    """What a cumulative metric accumulates, with its filters."""
    if not isinstance(metric.definition, Cumulative):
        raise BridgeError(
            "G570",
            f"metric {metric.name!r} has no window of its own",
            hint="give the feature `windows:`, such as [7 days] or [all time]",
        )
    graph.measures(metric)  # refuses a circle
    used = metric.definition.input
    inherited = [Given(text, outer=True) for text in (*metric.filters, *used.filters)]
    return graph.input_metric(used, by=metric.name), tuple(inherited)


def _check_window(graph: Graph, query: FeatureQuery, feature: MetricFeature) -> None:
    window = sight(graph, feature)
    if window is None:
        return
    if isinstance(window, str):
        if window not in GRAINS or finer(window, query.schedule):
            raise BridgeError(
                "G514",
                f"metric {feature.metric!r} is accumulated over the {window} to date, which the schedule "
                f"({query.schedule}) does not divide",
                hint="choose a finer schedule" if window in GRAINS else "accumulate over a standard grain",
            )
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
    about = About("metric", metric.name)
    if isinstance(metric.definition, Cumulative):
        raise BridgeError(
            "G517",
            f"metric {metric.name!r} is accumulated over a window of its own, which the feature's would replace",
            hint="leave `windows:` away to have its own; of a ratio, take the metrics that are accumulated",
            about=about,
        )
    if any(used.offset_window or used.offset_to_grain for used in inputs(metric)):
        raise BridgeError(
            "G517",
            f"metric {metric.name!r} compares with another time, which is no feature yet",
            hint="take the metrics that it is made of, over windows of two lengths",
            about=about,
        )
    for used in inputs(metric):
        _check_meaning(graph, graph.input_metric(used, by=metric.name))


def _known(graph: Graph, query: FeatureQuery, term: Term) -> Term:
    if isinstance(term, Formula):
        return replace(term, inputs=tuple((handle, _known(graph, query, t)) for handle, t in term.inputs))
    if isinstance(term, Converted):
        for event in (term.base, term.conversion):
            _check_filters(event)
            if query.known_at is not None and _known_at(graph, query, event).element != event.time.element:
                raise BridgeError(
                    "G517",
                    f"a conversion follows an event by their own times, {event.measure.name!r} by "
                    f"{event.time.element.name!r}, and the view's facts become known at {query.known_at!r}",
                    hint="put the feature into a view without `known_at`, or give both measures that time "
                    "(agg_time_dimension)",
                    about=About("semantic_model", event.measure.model, event.measure.name),
                )
        return term
    assert isinstance(term, Leaf)
    _check_filters(term)
    return replace(term, time=_known_at(graph, query, term), spine=False)


def _check_filters(leaf: Leaf) -> None:
    if any(isinstance(operand, PerEntity) for predicate in leaf.filters for operand in predicate.operands):
        raise BridgeError(
            "G517",
            f"a filter by another metric ({leaf.filters[0].template.text.strip()}) sees facts of all time, those after "
            "a moment too, so its metric is no feature",
            hint="filter by dimensions",
        )


def sources_of(term: Term) -> Iterator[Leaf | Converted]:
    """What a term is put together from."""
    return (cell for cell in cells_of(term) if isinstance(cell, Leaf | Converted))


def cells_by_source(
    terms: Iterable[Term], make: Callable[[Leaf | Converted, str], Cell]
) -> dict[Leaf | Converted, Cell]:
    """Each cell that terms are put together from, once, under a name of its own."""
    sources = tuple(dict.fromkeys(source for term in terms for source in sources_of(term)))
    leaves = [source for source in sources if isinstance(source, Leaf)]
    names = cell_names(sources, tuple(key for leaf in leaves[:1] for key, _ in leaf.keys))
    return {source: make(source, names[source]) for source in sources}


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


def _needed_since(graph: Graph, query: FeatureQuery, backs: Iterable[Back]) -> exp.Expr | None:
    """From when on facts tell the rows that are wanted; None where any fact may.

    What looks back over all time needs them all, and so does an entity's first moment, with which rows of every step
    begin, and those of a history.
    """
    windows = [back for back in backs if isinstance(back, Window)]
    if query.within is None or query.every_step or len(windows) < len([*backs]):
        return None
    dimensions = [each.dimension for each in query.features if isinstance(each, DimensionFeature)]
    if any(own_row(graph, query.entities, each).edges for each in dimensions):
        return None
    since = query.within[0]
    for window in (*filter(None, [query.delay]), max(windows, key=seconds), _step(query.schedule)):
        since = exp.Sub(this=since, expression=interval(window))
    return since


def _floor(query: FeatureQuery) -> exp.Expr:
    """The last moment of the schedule whose facts are all known."""
    assert query.until is not None
    until: exp.Expr = query.until.copy()
    if query.delay:
        until = exp.Sub(this=until, expression=interval(query.delay))
    return truncated(until, query.schedule, None)


def over_window(term: Term, cells: Mapping[Leaf | Converted, Cell], back: Back) -> exp.Expr:
    if isinstance(term, Formula):
        return substitute(term.expression, {h: over_window(inner, cells, back) for h, inner in term.inputs})
    assert isinstance(term, Leaf | Converted)
    return cells[term].value(back)


def with_dimension(graph: Graph, query: FeatureQuery, feature: DimensionFeature, rows: Plan) -> tuple[Plan, exp.Expr]:
    """The entity's own row, looked up by its key; of a history, the version of just before the moment."""
    own = own_row(graph, query.entities, feature.dimension)
    joined = rows
    while isinstance(joined, Lookup) and joined.right != own.table:
        joined = joined.input
    if not isinstance(joined, Lookup):
        same = equal(column(own.entity, "features"), own.key)
        rows = Lookup(rows, own.table, conjunction([same, *own.in_force(graph, column(MOMENT, "features"))]))
    return rows, own.column(graph, own.dimension)


def _turns(graph: Graph, query: FeatureQuery, facts: Plan, keys: tuple[str, ...]) -> tuple[Plan, ...]:
    """The moments at which a dimension's history turns, of the entities that have facts by then."""
    each = tuple(Named(key, column(key, "facts")) for key in keys)
    first = Summary("first_moment", "min", column(MOMENT, "facts"))
    since = Scan(Aggregate(Scan(facts, "facts"), each, (first,)), "since")
    found: dict[Plan, None] = {}
    for feature in query.features:
        if isinstance(feature, DimensionFeature):
            own = own_row(graph, query.entities, feature.dimension)
            for turn in own.turns(graph, _step(query.schedule)):
                met_ = Join(since, own.table, equal(column(own.entity, "since"), own.key), "inner")
                rows = Filter(met_, exp.GT(this=turn, expression=column(first.name, "since")))
                names = [Named(key, column(key, "since")) for key in keys]
                found[Distinct(rows, (*names, Named(MOMENT, turn.copy())))] = None
    return tuple(found)


def typed(value: exp.Expr, type_: str | None) -> exp.Expr:
    return exp.cast(value, exp.DataType.build(type_, dialect=DIALECT)) if type_ else value
