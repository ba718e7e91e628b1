"""A query without metrics: the different values of dimensions, or of time."""

from gemel.compiler.graph import Attribute, Graph
from gemel.compiler.keys import as_asked, make_key, make_keys, make_orders, make_span, no_twins
from gemel.compiler.misses import spelling
from gemel.compiler.query import Item, Query
from gemel.compiler.terms import Condition, Key, Values
from gemel.errors import QueryError, UnknownNameError
from gemel.spec.manifest import Entity, SemanticModel


def resolve_values(graph: Graph, query: Query) -> Values:
    """The different values of dimensions, read from the model that reaches all of them over the fewest hops."""
    if not query.group_by:
        raise QueryError("G317", "nothing is asked for", hint="name at least one metric or one group-by item")
    if query.having:
        raise QueryError("G316", "a result filter needs a metric to filter by", hint="use --where for dimensions")
    keys = make_keys(graph, query.group_by, ())
    if any(key.metric for key in keys):
        raise QueryError("G311", "grouping by a metric needs a metric in the query")
    no_twins([key.name for key in keys])
    if query.min_max_only and len(keys) != 1:
        raise QueryError("G322", "the least and greatest value can be asked of one item only")
    span = make_span(graph, query, keys, ())
    if span and not any(key.is_metric_time for key in keys):
        raise QueryError("G323", "a time constraint without a metric needs a time", hint="group by metric_time")
    templates = [graph.texts.filter(text) for text in query.where]
    if not all(isinstance(ref, Item) for template in templates for ref in template.references):
        raise QueryError("G311", "a filter by a metric needs a metric in the query")
    spoken = [[make_key(graph, r, ()) for r in t.references if isinstance(r, Item)] for t in templates]
    needed = dict.fromkeys(key for key in (*keys, *(key for each in spoken for key in each)) if not key.is_metric_time)
    home = _home(graph, list(needed)) if needed else None

    def find(key: Key) -> tuple[Key, Attribute | None]:
        found = graph.attribute(home.name, key.segments) if home and not key.is_metric_time else None
        return key, as_asked(graph, found, key) if found else None

    return Values(
        home,
        tuple(find(key) for key in keys),
        tuple(Condition(t, tuple(find(key) for key in each)) for t, each in zip(templates, spoken, strict=True)),
        span=span,
        min_max_only=query.min_max_only,
        order=make_orders(graph, query.order_by, keys, [], ()),
        limit=query.limit,
    )


def _home(graph: Graph, keys: list[Key]) -> SemanticModel:
    best: tuple[int, int, SemanticModel] | None = None
    for model in graph.models.values():
        reached = [graph.plain_attribute(model.name, key.segments) for key in keys]
        if all(reached):
            cost = sum(len(found.hops) for found in reached if found)
            # A model that owns the element beats one that only points to it.
            rank = sum(isinstance(f.element, Entity) and f.element.type == "foreign" for f in reached if f)
            if best is None or (cost, rank) < best[:2]:
                best = (cost, rank, model)
    if best is not None:
        return best[2]
    for key in keys:
        name = "__".join(key.segments)
        if not any([graph.attribute(model, key.segments) for model in graph.models]):  # or refused for its ties
            known = ["__".join(s) for model in graph.models for s in graph.attributes(model)]
            raise UnknownNameError(
                "G202",
                f"no dimension or entity named {name[:80]!r}",
                hint=spelling(name, known) or "see `gemel list dimensions`",
            )
    names = ", ".join("__".join(key.segments) for key in keys)
    hint = "name a metric that connects them"
    raise QueryError("G305", f"no semantic model reaches all of {names}", hint=hint)
