"""A query without metrics: the different values of dimensions, or of time."""

from gemel.compiler.expressions import parse_filter
from gemel.compiler.graph import Attribute, Graph
from gemel.compiler.keys import at_grain, make_key, make_keys, make_order, make_span, no_twins
from gemel.compiler.query import Item, MetricItem, Query
from gemel.compiler.terms import Key, Predicate, Values
from gemel.errors import QueryError, UnknownNameError, did_you_mean
from gemel.spec.manifest import Entity, SemanticModel


def resolve_values(graph: Graph, query: Query) -> Values:
    """The different values of dimensions, read from the model that reaches all of them over the fewest hops."""
    if not query.group_by:
        raise QueryError("G317", "nothing is asked for", hint="name at least one metric or one group-by item")
    if query.having:
        raise QueryError("G316", "a result filter needs a metric to filter by", hint="use --where for dimensions")
    keys = make_keys(graph, query.group_by, ())
    no_twins([key.name for key in keys])
    templates = [parse_filter(text) for text in query.where]
    references = [
        make_key(graph, ref, ()) for template in templates for ref in template.references if isinstance(ref, Item)
    ]
    if any(isinstance(ref, MetricItem) for template in templates for ref in template.references):
        raise QueryError("G311", "a filter by a metric needs a metric in the query")
    span = make_span(graph, query, keys, ())
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
        order=tuple(make_order(graph, order, keys, [], ()) for order in query.order_by),
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
                hint=spelling(name, known) or "see `gemel list dimensions`",
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


def spelling(name: str, known: list[str]) -> str | None:
    """The nearest names; first those that only lack their entity (`is_late` for `flight__is_late`)."""
    ends = sorted({full for full in known if full.rpartition("__")[2] == name})
    return f"did you mean {' or '.join(ends[:3])}?" if ends else did_you_mean(name, known)
