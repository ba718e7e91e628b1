"""Entities that a metric is computed for: those of its facts, or those that they reach over many-to-one hops."""

from collections.abc import Iterator

from gemel.compiler.names.graph import Graph
from gemel.compiler.names.joins import FARTHEST_HOPS, Hop
from gemel.compiler.question.query import Item
from gemel.errors import About, BridgeError
from gemel.spec.manifest import Entity
from gemel.spec.metrics import Metric


def entity_item(graph: Graph, entity: str, metric: Metric) -> Item:
    """The item that groups a metric by `entity`, in a column of that name: `plane__maker` as `maker`.

    The resolver refuses an entity that cannot be reached. Raises BridgeError (G571) if there are several equally
    short ways to the entity.
    """
    homes = dict.fromkeys(measure.model for measure in graph.measures(metric))
    # The longest path works from every model: a path may name an entity that a row has already reached.
    path = max((_path(graph, entity, home, metric) for home in homes), key=len)
    return Item(path, kind="entity", alias=entity)


def readings(graph: Graph, metric: Metric, segments: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The names by which other rows may have an entity that a metric is computed for, the best first: the entity alone,
    then with more and more of the path by which the metric's facts reach it.

    `view__listing` of views is the `listing` of bookings, `account__customer__region` the `region` of a shop.
    """
    for measure in graph.measures(metric)[:1]:
        found = graph.plain_attribute(measure.model, segments)
        if found is not None and isinstance(found.element, Entity):
            least = 1 if found.component is None else 2
            yield from (segments[start:] for start in range(len(segments) - least, 0, -1))
    yield segments


def _path(graph: Graph, entity: str, home: str, metric: Metric) -> tuple[str, ...]:
    if graph.entity(home, entity) is not None:
        return (entity,)
    for length in range(1, FARTHEST_HOPS + 1):
        walks = [walk for walk in graph.ways.walks(home, (), length) if _ends_with(graph, walk, entity)]
        if len(walks) == 1:
            return (*(hop.entity for hop in walks[0]), entity)
        if walks:
            ways = [" -> ".join((home, *(f"{hop.model} (by {hop.entity})" for hop in walk))) for walk in walks]
            raise BridgeError(
                "G571",
                f"the facts of metric {metric.name!r} lead to entity {entity!r} in {len(ways)} ways: {'; '.join(ways)}",
                hint="give the entity another name in one of these models",
                about=About("metric", metric.name),
            )
    if route := graph.ways.route(home, lambda hop: _ends_with(graph, (hop,), entity)):
        raise BridgeError(
            "G572",
            f"the facts of metric {metric.name!r} lead to entity {entity!r} over {len(route)} joins, and features go "
            f"over {FARTHEST_HOPS} at most",
            hint=f"join the entity into a dbt model on the way, as an entity of {route[0].model} for example",
            about=About("metric", metric.name),
        )
    return (entity,)


def _ends_with(graph: Graph, walk: tuple[Hop, ...], entity: str) -> bool:
    return entity != walk[-1].entity and graph.entity(walk[-1].model, entity) is not None
