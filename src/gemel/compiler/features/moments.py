"""Features: the metrics of an entity over trailing windows, at the moments of a schedule.

`F(entity, m, w)` is the metric over the facts that became known in `[m - w, m)`. Facts are first summed by steps of
the schedule, each at the first moment that can see it (the end of its step); then every moment sums its windows.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import assert_never

from sqlglot import exp

from gemel.compiler.features.cells import MOMENT, Bounds, Cell, Cells, Counted, cell_of, windowed_name
from gemel.compiler.features.histories import from_first_facts, has_history, own_row
from gemel.compiler.features.reach import Within, find_latest, find_needed_since, find_window
from gemel.compiler.features.whole_windows import equal_columns, plan_gathered
from gemel.compiler.names.entities import entity_item
from gemel.compiler.names.graph import Attribute, Graph
from gemel.compiler.names.keys import make_key
from gemel.compiler.names.scopes import Filters, FilterText, Scope
from gemel.compiler.names.terms import Converted, Formula, Leaf, PerEntity, Shifted, Term, Trailing
from gemel.compiler.plan.algebra import (
    AsOf,
    Combine,
    Derive,
    Filter,
    Lookup,
    Moments,
    Named,
    Plan,
    Scan,
    Summary,
)
from gemel.compiler.plan.distinct import Back
from gemel.compiler.plan.facts import versions_of
from gemel.compiler.plan.planning import cell_names, cells_of
from gemel.compiler.question.expressions import column, conjunction, equal, interval, substitute
from gemel.engines.duckdb import DIALECT
from gemel.errors import About, BridgeError, did_you_mean
from gemel.spec.feature_views import DimensionFeature, FeatureView, MetricFeature
from gemel.spec.manifest import Dimension
from gemel.spec.metrics import Measure, Metric, MetricInput
from gemel.spec.time import GRAINS, SECONDS, Window, finer, seconds


def plan_features(graph: Graph, view: FeatureView, *, until: exp.Expr, within: Within | None = None) -> Derive:
    """The rows of a feature view. Columns: the entities, `event_timestamp`, then the features in order, without casts.

    `until` is the time after which nothing is known yet. Raises BridgeError (G51x) for what cannot be a feature, or
    not yet.
    """
    step, latest = _step(view.schedule), find_latest(view, until)
    terms = view_terms(graph, view)
    bounds = _find_bounds(graph, view, terms.values(), within, latest)
    cells = plan_cells(graph, view, terms.values(), bounds)
    backs = {feature: find_window(graph, feature) for feature in terms}
    pairs = ((cells[part], backs[each]) for each, term in terms.items() for part in sources_of(term))
    looks = {(cell.name, back): (cell, back) for cell, back in pairs}.values()
    steps = [plan for cell in cells.values() for plan in cell.steps()]
    keys = view.entities
    facts = _combine(steps, keys)
    changed = [plan for cell, back in looks if (plan := cell.changes(back, step)) is not None]
    windows = tuple(dict.fromkeys(back for back in backs.values() if back is not None))
    moments = Moments(facts, keys, MOMENT, windows, latest, step, view.every_step)
    if any(isinstance(each, DimensionFeature) and has_history(graph, view, each) for each in view.features):
        moments = from_first_facts(graph, view, [each for each in cells if isinstance(each, Leaf)], moments, bounds)
    if not view.every_step:
        moments = replace(moments, turns=(*moments.turns, *(plan for cell in cells.values() for plan in cell.turns())))
    values = dict.fromkeys(value for cell, back in looks for value in cell.looks(back))
    together = _combine([*steps, *changed], keys) if changed else facts
    features_in_time = AsOf(moments, together, step, tuple(values))
    rows: Plan = Scan(features_in_time, "features")
    for cell, back in looks:
        if isinstance(cell, Counted) and cell.summary is not None:
            rows = _join_summary(cell, cell.summary, moments, back, rows)
    outputs = [Named(key, column(key, "features")) for key in keys]
    moment: exp.Expr = column(MOMENT, "features")
    if view.delay:
        moment = exp.Add(this=moment, expression=interval(view.delay))
    outputs.append(Named(MOMENT, moment))
    if within:
        rows = Filter(rows, within.condition(moment))
    for feature in view.features:
        if isinstance(feature, MetricFeature):
            value = over_window(terms[feature], cells, backs[feature])
        else:
            rows, value = with_dimension(graph, view, feature, rows)
        outputs.append(Named(feature.name, value))
    return Derive(rows, tuple(outputs))


def _find_bounds(
    graph: Graph, view: FeatureView, terms: Iterable[Term], within: Within | None, latest: exp.Expr
) -> Bounds:
    """The facts that the rows `within` need."""
    if within is None:
        return Bounds(until=latest)
    conversions = [each for term in terms for each in sources_of(term) if isinstance(each, Converted)]
    since = find_needed_since(graph, view, within.first, conversions)
    rest = find_needed_since(graph, view, within.rest, conversions) if within.rest is not None else None
    return Bounds(since, latest, (within.end, rest) if rest is not None else None)


def view_terms(graph: Graph, view: FeatureView) -> dict[MetricFeature, Term]:
    """The terms of a view's metrics by feature. Raises BridgeError (G51x) for what cannot be a feature, or not yet."""
    metrics = [feature for feature in view.features if isinstance(feature, MetricFeature)]
    if not metrics:
        raise BridgeError(
            "G511",
            "a feature view needs at least one metric, as its rows come from the metric's facts",
            hint="add `- metric:`",
        )
    return _terms(graph, view, metrics)


def plan_cells(graph: Graph, view: FeatureView, terms: Iterable[Term], bounds: Bounds) -> Cells:
    """What the terms of a view are built from, of the facts within `bounds`. Raises BridgeError (G517)."""
    step = _step(view.schedule)
    return cells_by_source(terms, lambda source, name: cell_of(graph, source, name, step, bounds))


def cast_features(plan: Derive, types: Mapping[str, str]) -> Derive:
    """The plan with its columns cast to these SQL types, by name."""
    cast = {name: exp.DataType.build(type_, dialect=DIALECT) for name, type_ in types.items()}
    outputs = (
        Named(each.name, exp.cast(each.value, cast[each.name])) if each.name in cast else each for each in plan.outputs
    )
    return replace(plan, outputs=tuple(outputs))


def _combine(results: Sequence[Plan], keys: tuple[str, ...]) -> Plan:
    return results[0] if len(results) == 1 else Combine(tuple(results), (*keys, MOMENT))


def _join_summary(cell: Counted, summary: Summary, moments: Moments, back: Back, rows: Plan) -> Plan:
    """The rows joined to a summary of all the facts in each window."""
    alias = windowed_name(cell.name, back)
    gathered = Scan(plan_gathered(cell.events, moments, back, summary), alias)
    return Lookup(rows, gathered, conjunction(equal_columns(moments.columns, "features", alias)))


def find_ratio_input(graph: Graph, feature: MetricFeature) -> MetricInput:
    """The input of a ratio that a feature uses: its numerator or denominator. Raises BridgeError (G513)."""
    metric = graph.metric(feature.metric)
    used = metric.definition.sides.get(feature.part or "")
    if used is None:
        raise BridgeError("G513", f"metric {metric.name!r} is not a ratio, so it has no {feature.part}")
    return used


def _step(schedule: str) -> Window:
    if schedule not in SECONDS:
        raise BridgeError("G512", f"no schedule {schedule!r}", hint=f"one of {', '.join(SECONDS)}")
    return Window(1, schedule)


def _terms(graph: Graph, view: FeatureView, features: Iterable[MetricFeature]) -> dict[MetricFeature, Term]:
    """The terms by feature. A metric over several windows is one term."""
    term_by_request: dict[object, Term] = {}
    terms: dict[MetricFeature, Term] = {}
    for feature in features:
        request = (feature.metric, feature.part, feature.own)
        if request in term_by_request:
            _check_window(graph, view, feature)
        else:
            term_by_request[request] = feature_term(graph, view, feature)
        terms[feature] = term_by_request[request]
    return terms


def feature_term(graph: Graph, view: FeatureView, feature: MetricFeature) -> Term:
    """The feature's metric, with the time at which its facts become known; what a fact is does not depend on it."""
    metric = graph.metric(feature.metric)
    _check_window(graph, view, feature)
    filters: Filters = ()
    if feature.own:
        metric, filters = _accumulated(graph, metric)
    graph.measures(metric)  # refuses a circle
    _check_meaning(graph, metric)
    items = (entity_item(graph, entity, metric) for entity in view.entities)
    keys = tuple(make_key(graph, item, [metric]) for item in items)
    term = Scope(graph, keys, None, [metric]).term(metric, filters)
    if feature.part is not None:
        if not isinstance(term, Formula) or feature.part not in dict(term.inputs):
            raise BridgeError("G513", f"metric {metric.name!r} is not a ratio, so it has no {feature.part}")
        term = dict(term.inputs)[feature.part]
    return _place_in_time(graph, view, term)


def _accumulated(graph: Graph, metric: Metric) -> tuple[Metric, Filters]:
    """The metric that a cumulative metric accumulates, with the filters of both."""
    used = metric.definition.accumulated
    if used is None:
        raise BridgeError(
            "G570",
            f"metric {metric.name!r} has no window of its own",
            hint="give the feature `windows:`, such as [7 days] or [all time]",
        )
    graph.measures(metric)  # refuses a circle
    inherited = [FilterText(text, outer=True) for text in (*metric.filters, *used.filters)]
    return graph.input_metric(used, by=metric.name), tuple(inherited)


def _check_window(graph: Graph, view: FeatureView, feature: MetricFeature) -> None:
    window = find_window(graph, feature)
    if window is None:
        return
    if isinstance(window, str):
        if window not in GRAINS or finer(window, view.schedule):
            raise BridgeError(
                "G514",
                f"metric {feature.metric!r} is accumulated over the {window} to date, which the schedule "
                f"({view.schedule}) does not divide",
                hint="choose a finer schedule" if window in GRAINS else "accumulate over a standard grain",
            )
        return
    if window.unit not in SECONDS:
        raise BridgeError(
            "G514",
            f"a window of {window} does not always have the same length, which features cannot have yet",
            hint=f"count it in days, such as {30 * window.count} days",
        )
    if window.count < 1 or seconds(window) % SECONDS[view.schedule]:
        raise BridgeError(
            "G515",
            f"a window of {window} is not a whole number of steps of the schedule ({view.schedule})",
            hint="choose a finer schedule, or a window that is a multiple of it",
        )


def _check_meaning(graph: Graph, metric: Metric) -> None:
    """Raises BridgeError (G517) for a metric that looks over time by its own definition."""
    about = About("metric", metric.name)
    definition, inputs = metric.definition, metric.definition.inputs
    if definition.accumulated:
        raise BridgeError(
            "G517",
            f"metric {metric.name!r} is accumulated over a window of its own, which the feature's would replace",
            hint="omit `windows:` to use its own window; for a ratio, use the metrics that are accumulated",
            about=about,
        )
    if any(used.moved for used in inputs):
        raise BridgeError(
            "G517",
            f"metric {metric.name!r} compares with another time, so it cannot be a feature yet",
            hint="use the metrics that it is computed from, over windows of two lengths",
            about=about,
        )
    for used in inputs:
        _check_meaning(graph, graph.input_metric(used, by=metric.name))


def _place_in_time(graph: Graph, view: FeatureView, term: Term) -> Term:
    match term:
        case Formula(inputs=inputs):
            return replace(term, inputs=tuple((handle, _place_in_time(graph, view, t)) for handle, t in inputs))
        case Leaf():
            _check_filters(term)
            return replace(term, known_at=_require_known_at(graph, view, term), spine=False)
        case Converted():
            for event in (term.base, term.conversion):
                _check_filters(event)
                _require_own_time(graph, view, event)
            return term
        case Trailing() | Shifted():
            raise AssertionError(f"no metric is placed in time without its meaning being checked: {term.title}")
        case _:
            assert_never(term)


def _require_own_time(graph: Graph, view: FeatureView, event: Leaf) -> None:
    if view.known_at is not None and _require_known_at(graph, view, event).element != event.time.element:
        raise BridgeError(
            "G517",
            f"a conversion uses the events' own times, {event.time.element.name!r} for "
            f"{event.measure.name!r}, but the view's facts become known at {view.known_at!r}",
            hint="move the feature to a view without `known_at`, or give both measures that time (agg_time_dimension)",
            about=About("semantic_model", event.measure.model, event.measure.name),
        )


def _check_filters(leaf: Leaf) -> None:
    if any(isinstance(operand, PerEntity) for predicate in leaf.filters for operand in predicate.operands):
        raise BridgeError(
            "G517",
            f"a filter by another metric ({leaf.filters[0].template.text.strip()}) sees facts of all time, even those "
            "after a moment, so its metric cannot be a feature",
            hint="filter by dimensions",
        )


def sources_of(term: Term) -> list[Leaf | Converted]:
    """The leaves and conversions that a term is built from."""
    return [cell for cell in cells_of(term) if isinstance(cell, Leaf | Converted)]


def cells_by_source(terms: Iterable[Term], make: Callable[[Leaf | Converted, str], Cell]) -> Cells:
    """Each cell that terms are built from, once, with a name of its own."""
    sources = tuple(dict.fromkeys(source for term in terms for source in sources_of(term)))
    leaves = [source for source in sources if isinstance(source, Leaf)]
    names = cell_names(sources, tuple(key for leaf in leaves[:1] for key, _ in leaf.keys))
    return {source: make(source, names[source]) for source in sources}


def _require_known_at(graph: Graph, view: FeatureView, leaf: Leaf) -> Attribute:
    if view.known_at is None:
        return leaf.time
    time = known_at(graph, view, leaf.measure)
    if time is None:
        times = time_names(graph, leaf.measure)
        raise BridgeError(
            "G516",
            f"known_at {view.known_at!r} is not a time dimension that measure {leaf.measure.name!r} has",
            hint=did_you_mean(view.known_at, times) or f"one of {', '.join(times)}",
        )
    return time


def known_at(graph: Graph, view: FeatureView, measure: Measure) -> Attribute | None:
    """The time dimension at which a measure's facts become known to a view; None if the model does not have it."""
    if view.known_at is None:
        return Attribute(measure.model, (), graph.time_dimension(measure))
    attribute = graph.attribute(measure.model, graph.texts.item(view.known_at).segments)
    return attribute if attribute and isinstance(attribute.element, Dimension) and attribute.element.is_time else None


def time_names(graph: Graph, measure: Measure) -> list[str]:
    """The time dimensions of a measure's facts, as `known_at` refers to them."""
    prefix = (graph.ways.prefixes(measure.model) or (measure.model,))[0]
    return [f"{prefix}__{each.name}" for each in graph.models[measure.model].dimensions if each.is_time]


def over_window(term: Term, cells: Mapping[Leaf | Converted, Cell], back: Back) -> exp.Expr:
    if isinstance(term, Formula):
        return substitute(term.expression, {h: over_window(inner, cells, back) for h, inner in term.inputs})
    assert isinstance(term, Leaf | Converted)
    return cells[term].value(back)


def with_dimension(graph: Graph, view: FeatureView, feature: DimensionFeature, rows: Plan) -> tuple[Plan, exp.Expr]:
    """Look up the entity's own row by its key; in a table with a history, the version just before the moment."""
    own = own_row(graph, view.entities, feature.dimension)
    joined = rows
    while isinstance(joined, Lookup) and joined.right != own.table:
        joined = joined.input
    if not isinstance(joined, Lookup):
        same = equal(column(own.entity, "features"), own.key)
        valid = own.in_force(graph, column(MOMENT, "features"))
        versions = versions_of(graph, own.model, own.entity, own.table.alias) if own.edges else None
        rows = Lookup(rows, own.table, conjunction([same, *valid]), versions)
    return rows, own.column(graph, own.dimension)
