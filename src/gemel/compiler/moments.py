"""Features: the metrics of an entity at the moments of a schedule, over trailing windows. In front of the same plan.

`F(entity, m, w)` is the metric over the facts that were knowable in `[m - w, m)`. Facts are first summed into the
schedule's steps, each under the first moment that can see it (its step's end), then looked at from every moment.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sqlglot import exp

from gemel.compiler.algebra import (
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
    Windowed,
)
from gemel.compiler.entities import entity_item
from gemel.compiler.expressions import column, conjunction, equal, filled, interval, present, substitute
from gemel.compiler.facts import filtered, truncated
from gemel.compiler.graph import Attribute, Graph, inputs
from gemel.compiler.histories import own_row
from gemel.compiler.holistic import Events, met, plan_changes, plan_gathered
from gemel.compiler.keys import make_key
from gemel.compiler.parts import gather, parts, summary, whole
from gemel.compiler.planning import cell_names, cells_of, facts_of
from gemel.compiler.resolution import Filters, Given, Scope
from gemel.compiler.sightings import Back
from gemel.compiler.spellings import parse_item
from gemel.compiler.terms import Formula, Leaf, PerEntity, Term
from gemel.errors import About, BridgeError, did_you_mean
from gemel.spec.manifest import Conversion, Cumulative, Dimension, Metric
from gemel.spec.time import GRAINS, SECONDS, Window, finer, seconds

MOMENT = "event_timestamp"


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
    terms = {feature: feature_term(graph, query, feature) for feature in metrics}
    backs = {feature: sight(graph, feature) for feature in metrics}
    leaves = tuple(dict.fromkeys(leaf for term in terms.values() for leaf in leaves_of(term)))
    names = cell_names(leaves, tuple(key for key, _ in leaves[0].keys))
    needed = _needed_since(graph, query, backs.values())
    cells = {leaf: cell_of(graph, query, leaf, names[leaf], step, needed) for leaf in leaves}
    looks = dict.fromkeys((leaf, backs[feature]) for feature, term in terms.items() for leaf in leaves_of(term))
    steps: list[Plan] = [cell.by_step(part) for cell in cells.values() for part in cell.parts]
    keys = tuple(key.name for key, _ in leaves[0].keys)
    facts = _together(steps, keys)
    changed = [
        plan_changes(cell.events, windowed_name(f"{cell.name}_changes", back), back, step)
        for cell, back in ((cells[leaf], back) for leaf, back in looks)
        if cell.is_distinct
    ]
    windows = tuple(dict.fromkeys(back for back in backs.values() if back is not None))
    turns = () if query.every_step else _turns(graph, query, facts, keys)
    moments = Moments(facts, keys, MOMENT, windows, _floor(query), step, query.every_step, turns)
    values = dict.fromkeys(value for leaf, back in looks for value in cells[leaf].looks(back))
    seen = AsOf(moments, _together([*steps, *changed], keys), step, tuple(values))
    rows: Plan = Scan(seen, "features")
    for leaf, back in looks:
        if cells[leaf].summary is not None:
            rows = _gathered(cells[leaf], moments, back, rows)
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


@dataclass(frozen=True, slots=True)
class Cell:
    """A leaf as features see it: `parts` by step, which any window is put together from, and its `events`.

    What steps do not add up to keeps one part, the count of its facts, and is told by `summary`, of all the facts in
    a window, or (distinct values) by their changes.
    """

    name: str
    leaf: Leaf
    parts: tuple[Summary, ...]
    events: Events
    summary: Summary | None = None

    @property
    def adds_up(self) -> bool:
        return self.summary is None and not self.is_distinct

    @property
    def is_distinct(self) -> bool:
        return self.leaf.measure.agg == "count_distinct"

    def by_step(self, part: Summary) -> Plan:
        return Aggregate(self.events.rows, (*self.events.keys, self.events.moment), (part,))

    def looks(self, back: Back) -> Iterator[Windowed]:
        if self.summary is not None:
            return
        for part in self.parts:
            yield Windowed(windowed_name(part.name, back), gather(part), part.name, back)
        if self.is_distinct:
            changes = windowed_name(f"{self.name}_changes", back)
            yield Windowed(changes, "sum", changes)

    def value(self, back: Back) -> exp.Expr:
        """The aggregate over all that a moment sees; NULL where it sees no fact."""
        if self.summary is not None:
            return column(self.summary.name, windowed_name(self.name, back))
        if not self.is_distinct:
            return whole(self.parts, lambda part: column(windowed_name(part, back), "features"))
        some = exp.GT(
            this=column(windowed_name(self.parts[0].name, back), "features"), expression=exp.Literal.number(0)
        )
        return exp.case().when(some, column(windowed_name(f"{self.name}_changes", back), "features"))


def _together(results: Sequence[Plan], keys: tuple[str, ...]) -> Plan:
    return results[0] if len(results) == 1 else Combine(tuple(results), (*keys, MOMENT))


def _gathered(cell: Cell, moments: Moments, back: Back, rows: Plan) -> Plan:
    """The rows with what is gathered of all the facts in a window."""
    assert cell.summary is not None
    alias = windowed_name(cell.name, back)
    found = Scan(plan_gathered(cell.events, moments, back, cell.summary), alias)
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
    if isinstance(metric.definition, Conversion) or any(u.offset_window or u.offset_to_grain for u in inputs(metric)):
        raise BridgeError(
            "G517",
            f"metric {metric.name!r} is moved in time or a conversion, which is no feature yet",
            hint="take the simple metrics that it is made of and give the feature a window",
            about=about,
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


def _needed_since(graph: Graph, query: FeatureQuery, backs: Iterable[Back]) -> exp.Expr | None:
    """From when on facts tell the rows that are wanted; None where any fact may.

    What looks back over all time needs them all, and so does an entity's first moment, with which rows of every step
    begin, and those of a history.
    """
    windows = [back for back in backs if isinstance(back, Window)]
    if query.within is None or query.every_step or len(windows) < len([*backs]):
        return None
    dimensions = [each.dimension for each in query.features if isinstance(each, DimensionFeature)]
    if any(own_row(graph, query.entities, each).edges(graph) for each in dimensions):
        return None
    since = query.within[0]
    for window in (*filter(None, [query.delay]), max(windows, key=seconds), _step(query.schedule)):
        since = exp.Sub(this=since, expression=interval(window))
    return since


def cell_of(
    graph: Graph, query: FeatureQuery, leaf: Leaf, name: str, step: Window, needed: exp.Expr | None = None
) -> Cell:
    """`needed` is the time before which no fact is looked at."""
    measure = leaf.measure
    if measure.non_additive is not None:
        raise BridgeError(
            "G517",
            f"measure {measure.name!r} does not add up over {measure.non_additive.dimension!r}: it is taken at the "
            "last time that a query shows, and a window of moments shows none, so it is no feature yet",
            hint="take the level as a dimension with a history, or a measure that adds up",
            about=About("semantic_model", measure.model, measure.name),
        )
    facts = facts_of(graph, leaf)
    value = facts.measured(leaf)
    keys = tuple(Named(key.name, facts.operand(attribute)) for key, attribute in leaf.keys)
    known = facts.moment()
    # A fact without an entity is nobody's, one without a time never becomes known.
    conditions: list[exp.Expr] = [present(each.copy()) for each in [*(key.value for key in keys), known]]
    if query.until is not None:
        conditions.append(exp.LT(this=known.copy(), expression=_floor(query)))
    if needed is not None:
        conditions.append(exp.GTE(this=known.copy(), expression=needed.copy()))
    rows = filtered(facts.where(leaf.filters), conditions)
    moment = Named(MOMENT, exp.Add(this=truncated(_timestamp(known), step.unit, None), expression=interval(step)))
    events = Events(rows, keys, moment, value)
    kept = parts(leaf, name, value)
    if kept is not None:
        return Cell(name, leaf, kept, events)
    counted = (Summary(f"{name}_facts", "count", exp.Literal.number(1)),)
    gathered = None if measure.agg == "count_distinct" else summary(leaf, name, value)
    return Cell(name, leaf, counted, events, gathered)


def _timestamp(value: exp.Expr) -> exp.Expr:
    return exp.cast(value.copy(), exp.DataType.Type.TIMESTAMP)


def _floor(query: FeatureQuery) -> exp.Expr:
    """The last moment of the schedule whose facts are all known."""
    assert query.until is not None
    until: exp.Expr = query.until.copy()
    if query.delay:
        until = exp.Sub(this=until, expression=interval(query.delay))
    return truncated(until, query.schedule, None)


def windowed_name(part: str, back: Back) -> str:
    if isinstance(back, str):
        return f"{part}_{back}_to_date"
    return f"{part}_{back.count}_{back.unit}" if back else f"{part}_all"


def over_window(term: Term, cells: Mapping[Leaf, Cell], back: Back) -> exp.Expr:
    if isinstance(term, Formula):
        return substitute(term.expression, {h: over_window(inner, cells, back) for h, inner in term.inputs})
    assert isinstance(term, Leaf)
    return filled(cells[term].value(back), term.fill)


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
            for edge in own.edges(graph):
                step = _step(query.schedule)
                turn = exp.Add(this=truncated(_timestamp(edge), step.unit, None), expression=interval(step))
                met_ = Join(since, own.table, equal(column(own.entity, "since"), own.key), "inner")
                rows = Filter(met_, exp.GT(this=turn, expression=column(first.name, "since")))
                names = [Named(key, column(key, "since")) for key in keys]
                found[Distinct(rows, (*names, Named(MOMENT, turn.copy())))] = None
    return tuple(found)


def typed(value: exp.Expr, type_: str | None) -> exp.Expr:
    return exp.cast(value, exp.DataType.build(type_, dialect="duckdb")) if type_ else value
