"""Group-by items as keys: their grains settled, their spans of time, the columns that an order speaks of."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sqlglot import exp

from gemel.compiler.names.graph import METRIC_TIME, Attribute, Graph
from gemel.compiler.names.terms import Key, Span
from gemel.compiler.question.expressions import Refused, parse_expression, too_far
from gemel.compiler.question.functions import find_forbidden
from gemel.compiler.question.query import Item, Order, Query
from gemel.engines.duckdb import DIALECT
from gemel.errors import GemelError, QueryError, did_you_mean
from gemel.spec.manifest import Dimension, Entity
from gemel.spec.metrics import Metric
from gemel.spec.time import DATE_PARTS, GRAINS, coarsest, finer, floor, is_standard, step


def make_keys(graph: Graph, items: Iterable[Item], asked: Sequence[Metric]) -> tuple[Key, ...]:
    made = (key for item in items for key in _components(graph, make_key(graph, item, asked), asked))
    return tuple(dict.fromkeys(made))


def _components(graph: Graph, key: Key, asked: Sequence[Metric]) -> Iterable[Key]:
    """A composite entity as a key for each of its columns: `line` is `line__order_id` and `line__line_no`."""
    names = () if key.metric else graph.composites.get(key.segments[-1], ())
    if not names or not isinstance(_element(graph, key.segments, asked), Entity):
        return (key,)
    return [replace(key, name=f"{key.name}__{name}", component=place) for place, name in enumerate(names)]


def make_key(graph: Graph, item: Item, asked: Sequence[Metric]) -> Key:
    """An item as a key, its grain settled. Raises QueryError (G304) for a grain that does not exist."""
    if item.metric:
        return Key(item.alias or str(item), item.segments, metric=item.metric)
    segments, grain = item.segments, item.grain
    if grain is None and item.part is None:
        segments, grain = graph.split_grain(segments)
    if grain is not None and grain not in GRAINS and grain not in graph.custom_grains:
        known = [*GRAINS, *graph.custom_grains]
        hint = did_you_mean(grain, known) or f"one of {', '.join(known)}"
        raise QueryError("G304", f"no grain named {grain[:40]!r}", hint=hint)
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
            return max("day", finest_spine(graph), key=GRAINS.index)
        return coarsest([metric_grain(graph, metric) for metric in asked])
    element = _element(graph, segments, asked)
    return element.grain if isinstance(element, Dimension) else None


def _element(graph: Graph, segments: tuple[str, ...], asked: Sequence[Metric]) -> Dimension | Entity | None:
    """What a name stands for to the first of the metrics' models that knows it; a component for nothing whole."""
    homes = [measure.model for metric in asked for measure in graph.measures(metric)] or list(graph.models)
    for home in homes:
        found = graph.attribute(home, segments) if asked else graph.plain_attribute(home, segments)
        if found is not None:
            return found.element if found.component is None else None
    return None


def finest_spine(graph: Graph) -> str:
    return min((spine.grain for spine in graph.spines), key=GRAINS.index, default="day")


def metric_grain(graph: Graph, metric: Metric) -> str:
    """The grain of a metric when none is asked for: `time_granularity`, else the coarser of day and its own."""
    if metric.time_granularity:
        return metric.time_granularity
    return coarsest(["day", *(graph.time_dimension(measure).grain or "day" for measure in graph.measures(metric))])


def as_asked(graph: Graph, found: Attribute, key: Key) -> Attribute:
    """The attribute that a key's name leads to, as the key has it: at its grain or date part, or of an entity the
    component. A time without a grain is taken at its own.

    Raises QueryError: G312 for a grain on what is no time, G313 for one finer than the dimension's own, G332 for a
    composite entity where one value is needed.
    """
    element, grain, part, asked = found.element, key.grain, key.part, "__".join(key.segments)
    if key.component is not None:
        return replace(found, component=key.component)
    if isinstance(element, Entity) and found.component is None and (names := graph.composites.get(element.name)):
        raise QueryError(
            "G332",
            f"{asked!r} is a key of {len(names)} columns, and one value is needed",
            hint=f"write {' or '.join(f'{asked}__{name}' for name in names)}",
        )
    if not isinstance(element, Dimension) or element.grain is None:
        if grain or part:
            wanted = f"grain {grain!r}" if grain else f"date part {part!r}"
            raise QueryError("G312", f"{asked!r} is no time dimension, so it has no {wanted}")
        return found
    if part:
        if finer(DATE_PARTS[part], element.grain):
            raise QueryError(
                "G313",
                f"{asked!r} is known by {element.grain}, so it has no date part {part!r}",
                hint=f"ask for {asked}__{element.grain} or coarser",
            )
        return replace(found, part=part)
    grain = grain or element.grain
    if finer(graph.grain_of(grain), element.grain):
        raise QueryError(
            "G313",
            f"{asked!r} is known by {element.grain}, so it cannot be asked for by {grain}",
            hint=f"ask for {asked}__{element.grain} or coarser",
        )
    return replace(found, grain=grain)


def no_twins(names: list[str]) -> None:
    """Raises QueryError (G314) where two columns of a result have one name."""
    for index, name in enumerate(names):
        if name in names[:index]:
            hint = "ask for it once, or (in Python) give one an alias: {'name': ..., 'alias': ...}"
            raise QueryError("G314", f"two columns of the result are called {name!r}", hint=hint)


def make_span(graph: Graph, query: Query, keys: tuple[Key, ...], asked: Sequence[Metric]) -> Span | None:
    """The time constraint, widened to whole buckets of the finest metric_time grain that is asked for.

    A custom grain counts only where no standard one is asked for, and then by the grain of its spine. Without
    metric_time, it is the grain that metric_time would have.
    """
    if query.start is None and query.end is None:
        return None
    asked_for = [key.grain for key in keys if key.is_metric_time and key.grain]
    grains = [grain for grain in asked_for if is_standard(grain)] or [graph.grain_of(grain) for grain in asked_for]
    own = _default_grain(graph, (METRIC_TIME,), asked) or "day"
    grain = min(grains, key=GRAINS.index, default=own)
    start = floor(query.start, grain) if query.start else None
    end = step(floor(query.end, grain), grain, 1) if query.end else None
    return Span(start, end)


def make_orders(
    graph: Graph, orders: Iterable[Order], keys: tuple[Key, ...], names: list[str], asked: Sequence[Metric]
) -> tuple[tuple[str, bool], ...]:
    """The columns that an order speaks of; a composite entity's are several."""
    result = []
    for order in orders:
        parts = [key.name for key in keys if key.component is not None and key.segments == order.key.segments]
        result += [(part, order.descending) for part in parts] or [_order(graph, order, keys, names, asked)]
    return tuple(result)


def _order(
    graph: Graph, order: Order, keys: tuple[Key, ...], names: list[str], asked: Sequence[Metric]
) -> tuple[str, bool]:
    """Raises QueryError (G315) for a column that the query does not have."""
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
    alike = [key.name for key in keys if key.segments == order.key.segments]
    if len(alike) == 1 and order.key.grain is None and order.key.part is None:
        return alike[0], order.descending
    available = [*names, *(key.name for key in keys)]
    raise QueryError(
        "G315",
        f"the result cannot be ordered by {text[:80]!r}, which is not one of its columns",
        hint=did_you_mean(text, available) or f"its columns are {', '.join(available)}",
    )


def make_having(text: str, available: list[str], dialect: str = DIALECT) -> exp.Expr:
    """A filter on the result: an expression over the result's columns. Raises QueryError (G307, G308, G316, G340)."""
    if any(mark in text for mark in ("{{", "{%", "{#")):
        raise QueryError(
            "G307",
            f"the result filter {text.strip()[:80]!r} holds template code",
            hint=f"the result's columns are named plainly: {', '.join(available)}",
        )
    try:
        tree = parse_expression(text, dialect)
    except Refused as refused:
        hint = "write one expression over the result's columns, such as flights > 100"
        raise QueryError("G308", f"the result filter cannot be used: {refused}", hint=hint) from None
    if (what := find_forbidden(tree)) is not None:
        raise too_far(f"the result filter {text.strip()[:80]!r}", what)
    for division in tree.find_all(exp.Div, exp.IntDiv, exp.Mod):
        division.set("expression", exp.Nullif(this=division.expression, expression=exp.Literal.number(0)))
    for node in tree.find_all(exp.Column):
        if node.table or node.name.lower() not in available:
            raise QueryError(
                "G316",
                f"the result filter names {node.sql()[:80]!r}, which is not a column of the result",
                hint=did_you_mean(node.name, available) or f"its columns are {', '.join(available)}",
            )
        node.set("this", exp.to_identifier(node.name.lower()))
    return tree
