"""Group-by items as keys: their grains, the span of time, the columns of an order."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gemel.compiler.names.graph import METRIC_TIME, Attribute, Graph
from gemel.compiler.names.terms import Key, Span
from gemel.compiler.question.query import Item, Order, Query
from gemel.errors import GemelError, QueryError, did_you_mean
from gemel.spec.manifest import Dimension, Entity
from gemel.spec.metrics import Metric
from gemel.spec.time import DATE_PARTS, GRAINS, coarsest, finer, floor, is_standard, step


def make_keys(graph: Graph, items: Iterable[Item], metrics: Sequence[Metric]) -> tuple[Key, ...]:
    keys = (key for item in items for key in _components(graph, make_key(graph, item, metrics), metrics))
    return tuple(dict.fromkeys(keys))


def _components(graph: Graph, key: Key, metrics: Sequence[Metric]) -> Iterable[Key]:
    """One key for each column of a composite entity: `line` becomes `line__order_id` and `line__line_no`."""
    names = () if key.metric else graph.composites.get(key.segments[-1], ())
    if not names or not isinstance(_element(graph, key.segments, metrics), Entity):
        return (key,)
    return [replace(key, name=f"{key.name}__{name}", component=place) for place, name in enumerate(names)]


def make_key(graph: Graph, item: Item, metrics: Sequence[Metric]) -> Key:
    """An item as a key with its grain. Raises QueryError (G304) for a grain that does not exist."""
    if item.metric:
        return Key(item.alias or str(item), item.segments, metric=item.metric)
    segments, grain = item.segments, item.grain
    if grain is None and item.part is None:
        segments, grain = graph.split_grain(segments)
    if grain is not None and grain not in GRAINS and grain not in graph.custom_grains:
        grains = [*GRAINS, *graph.custom_grains]
        hint = did_you_mean(grain, grains) or f"one of {', '.join(grains)}"
        raise QueryError("G304", f"no grain named {grain[:40]!r}", hint=hint)
    if grain is None and item.part is None:
        grain = _default_grain(graph, segments, metrics)
    name = "__".join(segments) + (f"__{grain}" if grain else "") + (f"__extract_{item.part}" if item.part else "")
    return Key(item.alias or name, segments, None if item.part else grain, item.part)


def _default_grain(graph: Graph, segments: tuple[str, ...], metrics: Sequence[Metric]) -> str | None:
    """The grain of a time that is asked for without one; the same as MetricFlow's.

    For metric_time, the coarsest of the metrics' own grains, or day if all are finer. For any other time, its own.
    """
    if segments == (METRIC_TIME,):
        if not metrics:
            return max("day", finest_spine(graph), key=GRAINS.index)
        return coarsest([metric_grain(graph, metric) for metric in metrics])
    element = _element(graph, segments, metrics)
    return element.grain if isinstance(element, Dimension) else None


def _element(graph: Graph, segments: tuple[str, ...], metrics: Sequence[Metric]) -> Dimension | Entity | None:
    """The element that a name has in the first of the metrics' models that has it; None for a mere component."""
    homes = [measure.model for metric in metrics for measure in graph.measures(metric)] or list(graph.models)
    for home in homes:
        found = graph.attribute(home, segments) if metrics else graph.plain_attribute(home, segments)
        if found is not None:
            return found.element if found.component is None else None
    return None


def is_entity(graph: Graph, key: Key, metrics: Sequence[Metric]) -> bool:
    """Whether a key is an entity's, or a component of one."""
    return key.component is not None or (
        key.metric is None and isinstance(_element(graph, key.segments, metrics), Entity)
    )


def finest_spine(graph: Graph) -> str:
    return min((spine.grain for spine in graph.spines), key=GRAINS.index, default="day")


def metric_grain(graph: Graph, metric: Metric) -> str:
    """The grain of a metric when none is asked for: its `time_granularity`, or the coarser of day and its own."""
    if metric.time_granularity:
        return metric.time_granularity
    return coarsest(["day", *(graph.time_dimension(measure).grain or "day" for measure in graph.measures(metric))])


def apply_key(graph: Graph, attribute: Attribute, key: Key) -> Attribute:
    """The attribute at the grain, date part or component of a key. A time without a grain is at its own.

    Raises QueryError: G312 for a grain of something that is not a time, G313 for a grain finer than the dimension's
    own, G332 for a composite entity where one value is needed.
    """
    element, grain, part, full_name = attribute.element, key.grain, key.part, "__".join(key.segments)
    if key.component is not None:
        return replace(attribute, component=key.component)
    if isinstance(element, Entity) and attribute.component is None and (names := graph.composites.get(element.name)):
        raise QueryError(
            "G332",
            f"{full_name!r} is a key of {len(names)} columns, but one value is needed",
            hint=f"write {' or '.join(f'{full_name}__{name}' for name in names)}",
        )
    if not isinstance(element, Dimension) or element.grain is None:
        if grain or part:
            wanted = f"grain {grain!r}" if grain else f"date part {part!r}"
            message = f"{full_name!r} is not a time dimension, so it has no {wanted}"
            raise QueryError("G312", message, hint=f"ask for {full_name}")
        return attribute
    if part:
        if finer(DATE_PARTS[part], element.grain):
            raise QueryError(
                "G313",
                f"{full_name!r} has the grain {element.grain}, so it has no date part {part!r}",
                hint=f"ask for {full_name}__{element.grain} or coarser",
            )
        return replace(attribute, part=part)
    grain = grain or element.grain
    if finer(graph.grain_of(grain), element.grain):
        raise QueryError(
            "G313",
            f"{full_name!r} has the grain {element.grain}, so it cannot be queried by {grain}",
            hint=f"ask for {full_name}__{element.grain} or coarser",
        )
    return replace(attribute, grain=grain)


def no_twins(names: list[str]) -> None:
    """Raises QueryError (G314) if two columns of a result have the same name."""
    for index, name in enumerate(names):
        if name in names[:index]:
            hint = (
                "ask for it once: as a metric, or as a group-by item; in Python, one can have an alias: "
                "{'name': ..., 'alias': ...}"
            )
            raise QueryError("G314", f"two columns of the result are called {name!r}", hint=hint)


def make_span(graph: Graph, query: Query, keys: tuple[Key, ...], metrics: Sequence[Metric]) -> Span | None:
    """The time constraint, widened to whole periods of the finest metric_time grain that is asked for.

    A custom grain counts only if no standard one is asked for, and then as the grain of its spine. Without
    metric_time among the keys, the grain is the one that metric_time would have.
    """
    if query.start is None and query.end is None:
        return None
    requested = [key.grain for key in keys if key.is_metric_time and key.grain]
    grains = [grain for grain in requested if is_standard(grain)] or [graph.grain_of(grain) for grain in requested]
    own = _default_grain(graph, (METRIC_TIME,), metrics) or "day"
    grain = min(grains, key=GRAINS.index, default=own)
    start = floor(query.start, grain) if query.start else None
    end = step(floor(query.end, grain), grain, 1) if query.end else None
    return Span(start, end)


def make_orders(
    graph: Graph, orders: Iterable[Order], keys: tuple[Key, ...], names: list[str], metrics: Sequence[Metric]
) -> tuple[tuple[str, bool], ...]:
    """The columns to order by. An order by a composite entity is one by each of its columns."""
    result = []
    for order in orders:
        parts = [key.name for key in keys if key.component is not None and key.segments == order.key.segments]
        result += [(part, order.descending) for part in parts] or [_order(graph, order, keys, names, metrics)]
    return tuple(result)


def _order(
    graph: Graph, order: Order, keys: tuple[Key, ...], names: list[str], metrics: Sequence[Metric]
) -> tuple[str, bool]:
    """Raises QueryError (G315) for a column that the query does not have."""
    text = str(order.key)
    if text in names:
        return text, order.descending
    for metric, name in zip(metrics, names, strict=False):
        if metric.name == text:
            return name, order.descending
    for key in keys:
        if key.name == text:
            return key.name, order.descending
    try:
        wanted = make_key(graph, order.key, metrics)
    except GemelError:
        wanted = None
    for key in keys:
        if wanted and (key.segments, key.grain, key.part) == (wanted.segments, wanted.grain, wanted.part):
            return key.name, order.descending
    alike = [key.name for key in keys if key.segments == order.key.segments]
    if len(alike) == 1 and order.key.grain is None and order.key.part is None:
        return alike[0], order.descending
    available = [*names, *(key.name for key in keys)]
    raise QueryError(
        "G315",
        f"the result cannot be ordered by {text[:80]!r}, which is not one of its columns",
        hint=did_you_mean(text, available) or f"its columns are {', '.join(available)}",
    )
