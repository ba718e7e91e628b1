"""The readers of definitions: features with their views and services, views for BI tools, exposures."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from gemel.compiler.features.histories import own_row
from gemel.compiler.features.moments import find_ratio_input, known_at
from gemel.compiler.features.reach import find_window
from gemel.compiler.names.entities import entity_item
from gemel.compiler.names.graph import Attribute
from gemel.errors import About, GemelError
from gemel.features.bound import Bound, BoundService, BoundView
from gemel.features.descriptions import describe
from gemel.graph.defined import Defined
from gemel.graph.nodes import Node
from gemel.on_demand.binding import BoundOnDemand
from gemel.spec import project as dbt
from gemel.spec.feature_views import DimensionFeature, Feature, MetricFeature, OnDemandFeature
from gemel.tracing.derivations import Derivation, Part
from gemel.tracing.expressions import text_of

VIEWS = ("feature_view", "saved_query", "wide_view_of")
"""The keys in the `meta` of a dbt model that is the table of a feature view or BI view."""


def define_readers(defined: Defined, bound: Bound) -> dict[str, Node]:
    """Add all readers. Returns the nodes of those that are dbt tables, by dbt's id."""
    for view in bound.views:
        _view(defined, view)
    for on_demand in bound.on_demand:
        _on_demand(defined, on_demand)
    for service in bound.services:
        _service(defined, service)
    ours = {table.id: node for table in defined.dbt.nodes.values() if (node := _ours(defined, table)) is not None}
    for exposure in defined.dbt.exposures:
        _exposure(defined, exposure, ours)
    return ours


def _on_demand(defined: Defined, view: BoundOnDemand) -> None:
    _add_whole(defined, "feature_view", view, f"on-demand view {sorted(view.inputs)}", view.feature_names)
    for name, type_ in view.inputs:
        node = Node("input", f"{view.name}.{name}", f"An input of a request, a {type_}.")
        defined.add(node, Derivation(f"input {name} {type_}"))
    for feature, parsed in view.expressions():
        used = [f"feature:{name}" if "." in name else f"input:{view.name}.{name}" for name in parsed.names]
        parts: tuple[Part, ...] = tuple(("transformation", id) for id in used)
        defined.add(
            _feature_node(view, feature, feature.description), Derivation(text_of(parsed.tree), parts), feature.name
        )


def _service(defined: Defined, service: BoundService) -> None:
    columns = [(view, names or view.feature_names) for view, names in service.selected]
    names = [f"{view.name}.{name}" for view, names in columns for name in names]
    _add_whole(defined, "feature_service", service, "feature service", names)


def _view(defined: Defined, view: BoundView) -> None:
    settings = f"{view.entities} {view.schedule} {view.known_at} {view.delay} {view.ttl} {view.online}"
    text = f"{settings} {view.lookback} {view.freshness} {view.push}{'' if view.detect else ' undetected'}"
    _add_whole(defined, "feature_view", view, text, view.feature_names)
    of_view = Derivation(settings, name=f"feature_view:{view.name}")
    for feature in view.features:
        node = _feature_node(view, feature, describe(defined.graph, feature))
        parts: list[Part] = [(None, of_view)]
        try:
            parts += _feature(defined, view, feature, node.id)
        except GemelError as error:
            defined.miss(node.id, error.message)
        defined.add(node, Derivation(_feature_text(defined, feature), tuple(parts)), feature.name)


def _add_whole(
    defined: Defined,
    kind: Literal["feature_view", "feature_service"],
    spec: BoundView | BoundOnDemand | BoundService,
    text: str,
    names: Iterable[str],
) -> None:
    """Add a node that consists of features."""
    words = f"{spec.description or ''} {spec.owner or ''} {spec.tags}"
    file = spec.place.file if spec.place else None
    node = Node(kind, spec.name, spec.description, spec.owner, file, words=words, about=About(kind, spec.name))
    inside = "" if kind == "feature_service" else f"{spec.name}."
    parts: tuple[Part, ...] = tuple(("part", f"feature:{inside}{name}") for name in names)
    defined.add(node, Derivation(text, parts, ordered=False))


def _feature_node(view: BoundView | BoundOnDemand, feature: Feature | OnDemandFeature, description: str | None) -> Node:
    """The node of a feature. The sides of a ratio have no definition of their own."""
    is_side = isinstance(feature, MetricFeature) and feature.part is not None
    about = None if is_side else About("feature_view", view.name, feature.name)
    return Node("feature", f"{view.name}.{feature.name}", description, words=feature.description or "", about=about)


def _feature_text(defined: Defined, feature: Feature) -> str:
    match feature:
        case MetricFeature():
            return f"feature {find_window(defined.graph, feature)} {feature.part} {feature.dtype}"
        case DimensionFeature(current=current, dtype=dtype):
            return f"feature {current} {dtype}"


def _feature(defined: Defined, view: BoundView, feature: Feature, id: str) -> Iterator[Part]:
    graph = defined.graph
    match feature:
        case MetricFeature():
            metric = graph.metrics[feature.metric]
            part = find_ratio_input(graph, feature) if feature.part else None
            yield "aggregation", defined.metric(part.name if part else metric.name)
            if part:
                yield from defined.filters((*metric.filters, *part.filters), defined.homes([part.name]), id)
            paths = [entity_item(graph, entity, metric).segments for entity in view.entities]
            for measure in graph.measures(graph.metrics[part.name] if part else metric):
                time = known_at(graph, view, measure)
                if time is not None:
                    yield "identity", defined.attribute(time, "window")
                for segments in paths:
                    attribute: Attribute | None = graph.plain_attribute(measure.model, segments)
                    if attribute is not None:
                        yield "identity", defined.attribute(attribute, "group_by")
        case DimensionFeature(dimension=dimension):
            row = own_row(graph, view.entities, dimension)
            yield "identity", defined.dimension(row.model.name, row.dimension.name)
            yield "join", f"entity:{row.model.name}.{row.entity}"
            yield "join", defined.rows(row.model, "join")
            yield from (("filter", defined.dimension(row.model.name, each.name)) for each in row.edges)


def _ours(defined: Defined, table: dbt.Node) -> Node | None:
    """The feature view or BI view of a dbt model that is its table."""
    meta = table.gemel
    view = defined.nodes.get(f"feature_view:{meta.get('feature_view')}")
    if view is not None:
        return view
    query, model = f"saved_query:{meta.get('saved_query')}", str(meta.get("wide_view_of"))
    if query not in defined.nodes and model not in defined.graph.models:
        return None
    about = About("model", table.unique_name)
    node = Node("bi_view", table.unique_name, table.description, table.owner, table.file, generated=True, about=about)
    id = node.id
    for column in table.columns:
        defined.weak[f"{table.unique_name}.{column}"][id] = None
    if query in defined.nodes:
        defined.add(node, Derivation(f"view {table.materialized}", (("identity", query),)))
    else:
        parts = tuple(_wide(defined, table, meta.get("metrics"), model))
        defined.add(node, Derivation(f"view {table.materialized} {meta.get('metrics')}", parts))
    return node


def _wide(defined: Defined, table: dbt.Node, metrics: object, model: str) -> Iterator[Part]:
    """A wide view has the dimensions of the facts of a semantic model, and the inputs of the metrics on it."""
    names = [str(name) for name in metrics] if isinstance(metrics, dict) else []
    yield from (("part", defined.metric(name)) for name in names if name in defined.graph.metrics)
    for column in table.columns:
        segments, _ = defined.graph.split_grain(tuple(column.split("__")))
        attribute = defined.graph.plain_attribute(model, segments)
        if attribute is not None:
            yield "identity", defined.attribute(attribute, "identity")


def _exposure(defined: Defined, exposure: dbt.Exposure, ours: Mapping[str, Node]) -> None:
    service = f"feature_service:{exposure.gemel.get('feature_service')}"
    node = Node(
        "exposure",
        exposure.name,
        exposure.description or exposure.label,
        exposure.owner,
        exposure.file,
        exposure.url,
        generated=service in defined.nodes,
        words=f"{exposure.label} {exposure.description} {exposure.owner} {exposure.maturity}",
        about=About("exposure", exposure.name),
    )
    text = f"exposure {exposure.type} {exposure.url}"
    if node.generated:  # it names the tables of the views; the service names their columns
        defined.add(node, Derivation(text, (("identity", service),)))
    else:
        ids = _of_dbt(exposure.parents, defined, ours)
        defined.add(node, Derivation(text, tuple(("part", id) for id in ids), ordered=False))


def _of_dbt(ids: Iterable[str], defined: Defined, ours: Mapping[str, Node]) -> Iterator[str]:
    """dbt's ids to nodes: `model.shop.orders`, `source.shop.raw.orders`, `metric.shop.revenue`."""
    for id in ids:
        kind, _, name = id.partition(".")
        if id in ours:
            yield ours[id].id
        elif id in defined.dbt.nodes:
            table = defined.dbt.nodes[id]
            yield f"{table.kind}:{table.unique_name}"
        elif (node := f"{kind}:{name.rpartition('.')[2].lower()}") in defined.nodes:
            yield node
