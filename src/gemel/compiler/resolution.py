"""A query against a graph, taken apart: every metric becomes leaves (one aggregate each) and formulas over them."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from gemel.compiler.expressions import Refused, Template, column, divide, guarded, parse_expression, parse_filter
from gemel.compiler.graph import METRIC_TIME, Attribute, Graph
from gemel.compiler.query import Item, MetricItem, Order, Query
from gemel.errors import About, DefinitionError, GemelError, QueryError, UnknownNameError, did_you_mean
from gemel.spec.manifest import Derived, Dimension, Entity, Measure, Metric, MetricInput, Ratio, SemanticModel, Simple
from gemel.spec.time import GRAINS, coarsest, finer, floor, step


@dataclass(frozen=True, slots=True)
class Key:
    """A group-by column: its name in the result, and what it is. Which model it is read from depends on the leaf."""

    name: str
    segments: tuple[str, ...]
    grain: str | None = None
    part: str | None = None

    @property
    def is_metric_time(self) -> bool:
        return self.segments == (METRIC_TIME,)


@dataclass(frozen=True, slots=True)
class Span:
    """The times `start <= t < end`; None is open."""

    start: dt.datetime | None = None
    end: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class PerEntity:
    """A metric inside a filter: its value for the entity that a fact belongs to."""

    term: "Term"
    keys: tuple[Key, ...]
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class Predicate:
    """A filter whose references, in order, are bound to the facts of one model."""

    template: Template
    operands: tuple[Attribute | PerEntity, ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One aggregate over one model's facts. `keys` pairs each group-by column with where its value is found.

    `time` is the dimension that places the facts in time. `fill` stands in for a missing value; `spine` asks for a
    row in every bucket of time, with facts or without.
    """

    measure: Measure
    time: Attribute
    keys: tuple[tuple[Key, Attribute], ...]
    filters: tuple[Predicate, ...]
    span: Span | None = None
    fill: int | None = None
    spine: bool = False


@dataclass(frozen=True, slots=True)
class Formula:
    """An expression over other terms, each under its handle: `a / NULLIF(b, 0)`."""

    expression: exp.Expr
    inputs: tuple[tuple[str, "Term"], ...]


Term = Leaf | Formula


@dataclass(frozen=True, slots=True)
class Output:
    name: str
    term: Term


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a query with metrics comes down to."""

    keys: tuple[Key, ...]
    outputs: tuple[Output, ...]
    having: tuple[exp.Expr, ...] = ()
    order: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Values:
    """What a query without metrics comes down to: the different values of dimensions, seen from model `home`.

    With no `home`, of metric_time alone, which is read from the time spine.
    """

    home: SemanticModel | None
    time: Attribute | None
    keys: tuple[tuple[Key, Attribute | None], ...]
    filters: tuple[Predicate, ...]
    span: Span | None = None
    min_max_only: bool = False
    order: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None


Resolved = Metrics | Values


def resolve(graph: Graph, query: Query) -> Resolved:
    """Look every name of a query up. Raises UnknownNameError or QueryError for the first that does not fit."""
    if not query.metrics:
        return _resolve_values(graph, query)
    asked = [graph.metric(item.name) for item in query.metrics]
    names = [item.alias or item.name for item in query.metrics]
    keys = _keys(graph, query.group_by, asked)
    _no_twins([*(key.name for key in keys), *names])
    span = _span(graph, query, keys, asked)
    scope = Scope(graph, keys, span, asked)
    outputs = tuple(Output(name, scope.term(metric, query.where)) for name, metric in zip(names, asked, strict=True))
    available = [*(key.name for key in keys), *names]
    return Metrics(
        keys,
        outputs,
        having=tuple(_having(text, available) for text in query.having),
        order=tuple(_order(graph, order, keys, names, asked) for order in query.order_by),
        limit=query.limit,
    )


@dataclass(frozen=True, slots=True)
class Scope:
    """What the terms of one query share: its keys, its span of time, the metrics asked for."""

    graph: Graph
    keys: tuple[Key, ...]
    span: Span | None
    asked: Sequence[Metric]

    def term(self, metric: Metric, filters: tuple[str, ...]) -> Term:
        """A metric under the filters of everything above it. Raises QueryError (G310) for what is not yet answered."""
        self.graph.measures(metric)  # refuses a circle
        filters = (*metric.filters, *filters)
        match metric.definition:
            case Simple() as simple:
                return self._leaf(metric, simple, filters)
            case Ratio(numerator, denominator):
                return Formula(
                    divide(column("numerator"), column("denominator")),
                    (
                        ("numerator", self._input(metric, numerator, filters)),
                        ("denominator", self._input(metric, denominator, filters)),
                    ),
                )
            case Derived(expr, used):
                return self._derived(metric, expr, used, filters)
            case _:
                raise QueryError(
                    "G310",
                    f"metric {metric.name!r} is a {metric.type} metric, which is not answered yet",
                    hint="simple, ratio and derived metrics are; see docs/metrics.md",
                    about=About("metric", metric.name),
                )

    def _input(self, metric: Metric, used: MetricInput, filters: tuple[str, ...]) -> Term:
        if used.offset_window or used.offset_to_grain:
            raise QueryError(
                "G310",
                f"metric {metric.name!r} compares with another time (offset), which is not answered yet",
                hint="simple, ratio and derived metrics without an offset are; see docs/metrics.md",
                about=About("metric", metric.name),
            )
        return self.term(self.graph.input_metric(used, by=metric.name), (*used.filters, *filters))

    def _derived(self, metric: Metric, expr: str, used: tuple[MetricInput, ...], filters: tuple[str, ...]) -> Formula:
        try:
            tree = parse_expression(expr)
        except Refused as refused:
            raise DefinitionError(
                "G105", f"the expr of metric {metric.name!r}: {refused}", about=About("metric", metric.name)
            ) from None
        handles = {item.handle.lower(): item for item in used}
        for node in tree.find_all(exp.Column):
            if node.table or node.name.lower() not in handles:
                raise DefinitionError(
                    "G106",
                    f"the expr of metric {metric.name!r} names {node.sql()!r}, which is not one of its input metrics",
                    hint=did_you_mean(node.name, handles) or f"its inputs are {', '.join(handles)}",
                    about=About("metric", metric.name),
                )
            node.set("this", exp.to_identifier(node.name.lower()))
        called = {node.name for node in tree.find_all(exp.Column)}
        terms = tuple(
            (handle, self._input(metric, item, filters)) for handle, item in handles.items() if handle in called
        )
        return Formula(guarded(tree), terms)

    def _leaf(self, metric: Metric, simple: Simple, filters: tuple[str, ...]) -> Leaf:
        measure = simple.measure
        time = Attribute(measure.model, (), self.graph.time_dimension(measure))
        keys = tuple((key, self._attribute(metric, measure, key)) for key in self.keys)
        return Leaf(
            measure,
            time,
            keys,
            tuple(dict.fromkeys(self._predicate(metric, measure, text) for text in filters)),
            span=self.span,
            fill=simple.fill_nulls_with,
            spine=simple.join_to_timespine and any(attribute.element == time.element for _, attribute in keys),
        )

    def _attribute(self, metric: Metric, measure: Measure, key: Key) -> Attribute:
        if key.is_metric_time:
            dimension = self.graph.time_dimension(measure)
            found: Attribute | None = Attribute(measure.model, (), dimension)
        else:
            found = self.graph.attribute(measure.model, key.segments)
        if found is None:
            raise self._unreachable(metric, measure, key)
        return at_grain(self.graph, found, key.grain, key.part, asked="__".join(key.segments))

    def _unreachable(self, metric: Metric, measure: Measure, key: Key) -> GemelError:
        known = ["__".join(s) for s in self.graph.attributes(measure.model)] + [METRIC_TIME]
        name = "__".join(key.segments)
        if any(self.graph.attribute(model, key.segments) for model in self.graph.models):
            return QueryError(
                "G305",
                f"metric {metric.name!r} cannot be grouped or filtered by {name!r}: "
                f"nothing joins semantic model {measure.model!r} to it",
                hint=did_you_mean(name, known) or f"see `gemel list dimensions --metrics {metric.name}`",
            )
        return UnknownNameError(
            "G202",
            f"no dimension or entity named {name[:80]!r} for metric {metric.name!r}",
            hint=_spelling(name, known) or f"see `gemel list dimensions --metrics {metric.name}`",
        )

    def _predicate(self, metric: Metric, measure: Measure, text: str) -> Predicate:
        template = parse_filter(text)
        return Predicate(template, tuple(self._operand(metric, measure, ref) for ref in template.references))

    def _operand(self, metric: Metric, measure: Measure, reference: Item | MetricItem) -> Attribute | PerEntity:
        if isinstance(reference, MetricItem):
            return self._per_entity(metric, measure, reference)
        key = make_key(self.graph, reference, self.asked)
        return self._attribute(metric, measure, key)

    def _per_entity(self, metric: Metric, measure: Measure, reference: MetricItem) -> PerEntity:
        inner = self.graph.metric(reference.metric)
        if not reference.group_by:
            raise QueryError(
                "G311",
                f"Metric({reference.metric!r}) in a filter needs the entities to compute it for",
                hint=f"write Metric({reference.metric!r}, group_by=['entity'])",
            )
        keys = _keys(self.graph, reference.group_by, [inner])
        scope = Scope(self.graph, keys, None, [inner])
        attributes = tuple(self._attribute(metric, measure, key) for key in keys)
        return PerEntity(scope.term(inner, ()), keys, attributes)


def at_grain(graph: Graph, found: Attribute, grain: str | None, part: str | None, *, asked: str) -> Attribute:
    """The attribute at a grain or date part; a time without either is taken at its own grain.

    Raises QueryError: G312 for a grain on what is no time, G313 for one finer than the dimension's own.
    """
    element = found.element
    if not isinstance(element, Dimension) or element.grain is None:
        if grain or part:
            raise QueryError(
                "G312",
                f"{asked!r} is no time dimension, so it has no {'grain' if grain else 'date part'} {grain or part!r}",
            )
        return found
    if part:
        return replace(found, part=part)
    grain = grain or element.grain
    if finer(graph.grain_of(grain), element.grain):
        raise QueryError(
            "G313",
            f"{asked!r} is known by {element.grain}, so it cannot be asked for by {grain}",
            hint=f"ask for {asked}__{element.grain} or coarser",
        )
    return replace(found, grain=grain)


def make_key(graph: Graph, item: Item, asked: Sequence[Metric]) -> Key:
    """An item as a key, its grain settled. Raises QueryError (G304) for a grain that does not exist."""
    segments, grain = item.segments, item.grain
    if grain is None and item.part is None:
        segments, grain = graph.split_grain(segments)
    if grain is not None and grain not in GRAINS and grain not in graph.custom_grains:
        known = [*GRAINS, *graph.custom_grains]
        raise QueryError(
            "G304", f"no grain named {grain[:40]!r}", hint=did_you_mean(grain, known) or f"one of {', '.join(known)}"
        )
    if grain is None and item.part is None:
        grain = _default_grain(graph, segments, asked)
    name = "__".join(segments) + (f"__{grain}" if grain else "") + (f"__extract_{item.part}" if item.part else "")
    return Key(item.alias or name, segments, None if item.part else grain, item.part)


def _default_grain(graph: Graph, segments: tuple[str, ...], asked: Sequence[Metric]) -> str | None:
    """The grain of a time that was asked for without one, as MetricFlow takes it.

    metric_time: the coarsest of the metrics' own, and day where all are finer. Any other time: its own.
    """
    if segments == (METRIC_TIME,):
        if not asked:
            return max("day", min((s.grain for s in graph.spines), key=GRAINS.index, default="day"), key=GRAINS.index)
        return coarsest([metric_grain(graph, metric) for metric in asked])
    for metric in asked:
        for measure in graph.measures(metric):
            found = graph.attribute(measure.model, segments)
            if found is not None:
                return found.element.grain if isinstance(found.element, Dimension) else None
    for model in graph.models:
        found = graph.attribute(model, segments) if not asked else None
        if found is not None:
            return found.element.grain if isinstance(found.element, Dimension) else None
    return None


def metric_grain(graph: Graph, metric: Metric) -> str:
    """The grain of a metric when none is asked for: `time_granularity`, else the coarser of day and its own."""
    if metric.time_granularity:
        return metric.time_granularity
    return coarsest(["day", finest_grain(graph, metric)])


def finest_grain(graph: Graph, metric: Metric) -> str:
    """The finest grain that a metric can be asked at: the coarsest of its measures' times."""
    return coarsest([graph.time_dimension(measure).grain or "day" for measure in graph.measures(metric)])


def _keys(graph: Graph, items: Iterable[Item], asked: Sequence[Metric]) -> tuple[Key, ...]:
    return tuple(dict.fromkeys(make_key(graph, item, asked) for item in items))


def _no_twins(names: list[str]) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise QueryError(
                "G314", f"two columns of the result are called {name!r}", hint="give one an alias, or ask for it once"
            )


def _span(graph: Graph, query: Query, keys: tuple[Key, ...], asked: Sequence[Metric]) -> Span | None:
    """The time constraint, widened to whole buckets of the finest metric_time grain that is asked for."""
    if query.start is None and query.end is None:
        return None
    grains = [graph.grain_of(key.grain) for key in keys if key.is_metric_time and key.grain]
    if not grains:
        grains = [finest_grain(graph, metric) for metric in asked] or [
            min((spine.grain for spine in graph.spines), key=GRAINS.index, default="day")
        ]
    grain = min(grains, key=GRAINS.index) if keys else coarsest(grains)
    start = floor(query.start, grain) if query.start else None
    end = step(floor(query.end, grain), grain, 1) if query.end else None
    return Span(start, end)


def _order(
    graph: Graph, order: Order, keys: tuple[Key, ...], names: list[str], asked: Sequence[Metric]
) -> tuple[str, bool]:
    """The column that an order speaks of. Raises QueryError (G315) for one that the query does not have."""
    text = str(order.key)
    if text in names:
        return text, order.descending
    for metric, name in zip(asked, names, strict=False):
        if metric.name == text:
            return name, order.descending
    for key in keys:
        if key.name == text:
            return key.name, order.descending
    try:
        wanted = make_key(graph, order.key, asked)
    except GemelError:
        wanted = None
    for key in keys:
        if wanted and (key.segments, key.grain, key.part) == (wanted.segments, wanted.grain, wanted.part):
            return key.name, order.descending
    available = [*names, *(key.name for key in keys)]
    raise QueryError(
        "G315",
        f"the result cannot be ordered by {text[:80]!r}, which is not one of its columns",
        hint=did_you_mean(text, available) or f"its columns are {', '.join(available)}",
    )


def _having(text: str, available: list[str]) -> exp.Expr:
    """A filter on the result: an expression over the result's columns. Raises QueryError (G308, G316)."""
    try:
        tree = parse_expression(text)
    except Refused as refused:
        raise QueryError(
            "G308",
            f"the result filter cannot be used: {refused}",
            hint="write one expression over the result's columns, such as flights > 100",
        ) from None
    for node in tree.find_all(exp.Column):
        if node.table or node.name.lower() not in available:
            raise QueryError(
                "G316",
                f"the result filter names {node.sql()!r}, which is not a column of the result",
                hint=did_you_mean(node.name, available) or f"its columns are {', '.join(available)}",
            )
        node.set("this", exp.to_identifier(node.name.lower()))
    return tree


def _resolve_values(graph: Graph, query: Query) -> Values:
    """The different values of dimensions, read from the model that reaches all of them over the fewest hops."""
    if not query.group_by:
        raise QueryError("G317", "nothing is asked for", hint="name at least one metric or one group-by item")
    if query.having:
        raise QueryError("G316", "a result filter needs a metric to filter by", hint="use --where for dimensions")
    keys = _keys(graph, query.group_by, ())
    _no_twins([key.name for key in keys])
    templates = [parse_filter(text) for text in query.where]
    references = [
        make_key(graph, ref, ()) for template in templates for ref in template.references if isinstance(ref, Item)
    ]
    if any(isinstance(ref, MetricItem) for template in templates for ref in template.references):
        raise QueryError("G311", "a filter by a metric needs a metric in the query")
    span = _span(graph, query, keys, ())
    needed = [key for key in dict.fromkeys([*keys, *references]) if not key.is_metric_time]
    with_time = any(key.is_metric_time for key in [*keys, *references]) or span is not None
    home = _home(graph, needed, with_time) if needed else None
    found: dict[Key, Attribute | None] = {}
    time = _home_time(graph, home) if home and with_time else None
    for key in dict.fromkeys([*keys, *references]):
        seen = time if key.is_metric_time else graph.attribute(home.name, key.segments) if home else None
        found[key] = at_grain(graph, seen, key.grain, key.part, asked="__".join(key.segments)) if seen else None
    if home is None and references:
        raise QueryError(
            "G305", "metric_time alone takes its values from the time spine, which has no other dimensions"
        )
    bound: list[Predicate] = []
    for template in templates:
        items = [make_key(graph, ref, ()) for ref in template.references if isinstance(ref, Item)]
        operands = tuple(attribute for item in items if (attribute := found[item]) is not None)
        bound.append(Predicate(template, operands))
    return Values(
        home,
        time,
        tuple((key, found[key]) for key in keys),
        tuple(bound),
        span=span,
        min_max_only=query.min_max_only,
        order=tuple(_order(graph, order, keys, [], ()) for order in query.order_by),
        limit=query.limit,
    )


def _home(graph: Graph, keys: list[Key], with_time: bool) -> SemanticModel:
    best: tuple[int, int, SemanticModel] | None = None
    for model in graph.models.values():
        if with_time and _home_time(graph, model) is None:
            continue
        reached = [graph.attribute(model.name, key.segments) for key in keys]
        if all(reached):
            # A model that owns the element beats one that only points to it.
            cost = sum(len(found.hops) for found in reached if found)
            rank = sum(
                isinstance(found.element, Entity) and found.element.type == "foreign" for found in reached if found
            )
            if best is None or (cost, rank) < best[:2]:
                best = (cost, rank, model)
    if best is not None:
        return best[2]
    for key in keys:
        name = "__".join(key.segments)
        if not any(graph.attribute(model, key.segments) for model in graph.models):
            known = ["__".join(s) for model in graph.models for s in graph.attributes(model)]
            raise UnknownNameError(
                "G202",
                f"no dimension or entity named {name[:80]!r}",
                hint=_spelling(name, known) or "see `gemel list dimensions`",
            )
    names = ", ".join("__".join(key.segments) for key in keys)
    raise QueryError(
        "G305",
        f"no semantic model reaches all of {names}" + (" and has a time" if with_time else ""),
        hint="name a metric that connects them",
    )


def _home_time(graph: Graph, model: SemanticModel) -> Attribute | None:
    dimension = graph.dimension(model.name, model.default_time_dimension or "")
    return Attribute(model.name, (), dimension) if dimension else None


def _spelling(name: str, known: list[str]) -> str | None:
    """The nearest names; first those that only lack their entity (`is_late` for `flight__is_late`)."""
    ends = sorted({full for full in known if full.rpartition("__")[2] == name})
    return f"did you mean {' or '.join(ends[:3])}?" if ends else did_you_mean(name, known)
