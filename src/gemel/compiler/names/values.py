"""A query without metrics: the distinct values of dimensions, or of time."""

from collections.abc import Callable, Iterator

from gemel.compiler.names.entities import readings
from gemel.compiler.names.graph import Attribute, Graph
from gemel.compiler.names.instants import has_instants, on_clocks
from gemel.compiler.names.keys import apply_key, make_key, make_keys, make_orders, make_span, no_twins
from gemel.compiler.names.misnamed import as_item
from gemel.compiler.names.terms import Condition, Key, PerEntity, Values
from gemel.compiler.names.unknown import check_plain_names
from gemel.compiler.names.unreachable import far_path, spelling, too_far_away
from gemel.compiler.question.expressions import Template
from gemel.compiler.question.query import Item, MetricItem, Query
from gemel.errors import QueryError, UnknownNameError
from gemel.spec.manifest import Entity, SemanticModel

PerEntityOf = Callable[[MetricItem, Callable[[Key], Attribute]], PerEntity]
"""Resolves a metric in a filter, given the attributes of its entities in the rows that are filtered."""


def resolve_values(graph: Graph, query: Query, per_entity: PerEntityOf, dialect: str) -> Values:
    """The distinct values of dimensions, read from the model that reaches all of them over the fewest hops."""
    if not query.group_by:
        raise QueryError("G317", "the query is empty", hint="name at least one metric or one group-by item")
    if query.having:
        raise QueryError("G316", "a result filter needs a metric", hint="use --where to filter by dimensions")
    keys = make_keys(graph, query.group_by, ())
    if any(key.metric for key in keys):
        raise QueryError("G311", "grouping by a metric needs a metric in the query", hint="name one with --metrics")
    no_twins([key.name for key in keys])
    if query.min_max_only and (len(keys) != 1 or query.order_by or query.limit is not None):
        raise QueryError(
            "G322",
            "the least and greatest values are those of one item, in one row",
            hint="omit the other items, the order and the limit",
        )
    span = make_span(graph, query, keys, ())
    if span and not any(key.is_metric_time for key in keys):
        raise QueryError("G323", "a time constraint without a metric needs a time", hint="group by metric_time")
    asked = [graph.texts.asked(text, dialect) for text in query.where]
    for template in asked:
        check_plain_names(graph, template, ())
    own = [*(graph.texts.filter(text, query.about) for text in query.own), *map(graph.texts.filter, query.trusted)]
    templates = [*own, *asked]
    needed: list[Names] = [(key.segments,) for key in keys if not key.is_metric_time]
    needed += [names for template in templates for ref in template.references for names in _names(graph, ref)]
    home = _home(graph, list(dict.fromkeys(needed))) if needed else None

    def find(key: Key) -> tuple[Key, Attribute | None]:
        found = graph.attribute(home.name, key.segments) if home and not key.is_metric_time else None
        return key, apply_key(graph, found, key) if found else None

    def entity(key: Key) -> Attribute:
        found = find(key)[1]
        if key.is_metric_time:
            message = "a filter by a metric needs an entity, and metric_time is not an entity"
            raise QueryError("G311", message, hint="write {{ Metric('name', ['entity']) }}")
        if found is None:
            raise UnknownNameError(
                "G202",
                f"no dimension or entity named {'__'.join(key.segments)[:80]!r}",
                hint="see `gemel list dimensions`",
            )
        return found

    def operand(reference: Item | MetricItem) -> tuple[Key, Attribute | None] | PerEntity:
        if isinstance(reference, MetricItem):
            return per_entity(reference, entity)
        return find(make_key(graph, reference, ()))

    def condition(template: Template) -> Condition:
        operands = tuple(map(operand, template.references))
        if any(template is each for each in asked) and has_instants(template):
            times = [number for number, each in enumerate(operands) if _is_moment(each)]
            template = on_clocks(template, times, graph.timezone)
        return Condition(template, operands)

    return Values(
        home,
        tuple(find(key) for key in keys),
        tuple(map(condition, templates)),
        span=span,
        min_max_only=query.min_max_only,
        order=make_orders(graph, query.order_by, keys, [], ()),
        limit=query.limit,
    )


def _is_moment(operand: tuple[Key, Attribute | None] | PerEntity) -> bool:
    if isinstance(operand, PerEntity):
        return False
    key, attribute = operand
    return attribute.is_moment if attribute else key.is_metric_time and key.part is None


Names = tuple[tuple[str, ...], ...]
"""The names of one item, in segments; the first that a model has is the one."""


def _names(graph: Graph, reference: Item | MetricItem) -> Iterator[Names]:
    if isinstance(reference, MetricItem):
        keys = [make_key(graph, item, ()) for item in reference.group_by]
        for key in keys:
            if not key.is_metric_time:
                yield tuple(readings(graph, graph.metric(reference.metric), key.segments))
    elif not (key := make_key(graph, reference, ())).is_metric_time:
        yield (key.segments,)


def _home(graph: Graph, items: list[Names]) -> SemanticModel:
    best: tuple[int, int, SemanticModel] | None = None
    for model in graph.models.values():
        reached = [next(filter(None, (graph.plain_attribute(model.name, n) for n in names)), None) for names in items]
        if all(reached):
            cost = sum(len(found.hops) for found in reached if found)
            # A model that owns the element beats one that only points to it.
            rank = sum(isinstance(f.element, Entity) and f.element.type == "foreign" for f in reached if f)
            if best is None or (cost, rank) < best[:2]:
                best = (cost, rank, model)
    if best is not None:
        return best[2]
    for segments, *_ in items:
        name = "__".join(segments)
        if not any([graph.attribute(model, segments) for model in graph.models]):  # or refused for its ties
            all_names = ["__".join(s) for model in graph.models for s in graph.attributes(model)]
            raise UnknownNameError(
                "G202",
                f"no dimension or entity named {name[:80]!r}",
                hint=as_item(graph, name) or spelling(name, all_names) or "see `gemel list dimensions`",
            )
    for home in graph.models:
        far = {segments: far_path(graph, home, segments) for segments, *_ in items}
        missing = [segments for segments in far if not graph.plain_attribute(home, segments)]
        if all(far[segments] for segments in missing):
            raise too_far_away(home, "__".join(missing[0]), far[missing[0]] or ())
    names = ", ".join("__".join(segments) for segments, *_ in items)
    hint = "name a metric that connects them"
    raise QueryError("G305", f"no semantic model reaches all of {names}", hint=hint)
