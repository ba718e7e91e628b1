"""Who reads what the definitions make: features with their views and services, views for BI tools, exposures."""

from collections.abc import Iterable

from gemel.compiler.features.histories import own_row
from gemel.compiler.features.moments import known_at, side
from gemel.compiler.names.entities import entity_item
from gemel.compiler.names.graph import Attribute
from gemel.dbt.dag import Exposure, Table
from gemel.errors import GemelError, Place
from gemel.features.bound import Bound, BoundService, BoundView
from gemel.features.descriptions import describe
from gemel.graph.definitions import Defined
from gemel.graph.graph import Node
from gemel.on_demand.binding import BoundOnDemand
from gemel.spec.feature_views import DimensionFeature, Feature, MetricFeature


def define_readers(defined: Defined, bound: Bound) -> dict[str, Node]:
    """Add them all; the tables of dbt's that are one of them, by dbt's id."""
    for view in bound.views:
        _view(defined, view)
    for on_demand in bound.on_demand:
        _on_demand(defined, on_demand)
    for service in bound.services:
        _service(defined, service)
    ours = {table.id: node for table in defined.dag.tables.values() if (node := _ours(defined, table)) is not None}
    for exposure in defined.dag.exposures:
        _exposure(defined, exposure, ours)
    return ours


def _on_demand(defined: Defined, view: BoundOnDemand) -> None:
    id = defined.add(Node("feature_view", view.name, view.description, view.owner, _file(view.place)))
    for name, type_ in view.inputs:
        defined.add(Node("input", f"{view.name}.{name}", f"What a request brings, a {type_}."))
    for feature, parsed in view.expressions():
        made = defined.add(Node("feature", f"{view.name}.{feature.name}", feature.description), feature.name)
        defined.link(made, id, "part")
        for used in parsed.names:
            defined.link(f"feature:{used}" if "." in used else f"input:{view.name}.{used}", made, "transformation")


def _service(defined: Defined, service: BoundService) -> None:
    about = (service.name, service.description, service.owner, _file(service.place))
    id = defined.add(Node("feature_service", *about))
    for view, names in service.taken:
        defined.link([f"feature:{view.name}.{name}" for name in names or view.feature_names], id, "part")


def _file(place: Place | None) -> str | None:
    return place.file if place else None


def _view(defined: Defined, view: BoundView) -> None:
    id = defined.add(Node("feature_view", view.name, view.description, view.owner, _file(view.place)))
    for feature in view.features:
        text = describe(defined.graph, feature)
        made = defined.add(Node("feature", f"{view.name}.{feature.name}", text), feature.name)
        defined.link(made, id, "part")
        try:
            _feature(defined, view, feature, made)
        except GemelError as error:
            defined.miss(made, error.message)


def _feature(defined: Defined, view: BoundView, feature: Feature, id: str) -> None:
    graph = defined.graph
    match feature:
        case MetricFeature():
            metric = graph.metrics[feature.metric]
            part = side(graph, feature) if feature.part else None
            defined.link(defined.metric(part.name if part else metric.name), id, "aggregation")
            if part:
                defined.link_filters((*metric.filters, *part.filters), defined.homes([part.name]), id)
            measures = graph.measures(graph.metrics[part.name] if part else metric)
            for measure in measures:
                known = known_at(graph, view, measure)
                if known is not None:
                    defined.link_seen(known, id, "window")
                for entity in view.entities:
                    segments = entity_item(graph, entity, metric).segments
                    found: Attribute | None = graph.plain_attribute(measure.model, segments)
                    if found is not None:
                        defined.link_seen(found, id, "group_by")
        case DimensionFeature(dimension=dimension):
            row = own_row(graph, view.entities, dimension)
            defined.link(defined.dimension(row.model.name, row.dimension.name), id, "identity")
            rows = f"rows:{defined.table(row.model.relation)}"
            defined.link([f"entity:{row.model.name}.{row.entity}", rows], id, "join")
            defined.link([defined.dimension(row.model.name, each.name) for each in row.edges], id, "filter")


def _ours(defined: Defined, table: Table) -> Node | None:
    """The feature view or BI view that a dbt model is the table of."""
    said = table.meta.get("gemel")
    said = said if isinstance(said, dict) else {}
    view = defined.nodes.get(f"feature_view:{said.get('feature_view')}")
    if view is not None:
        return view
    query, model = f"saved_query:{said.get('saved_query')}", str(said.get("wide_view_of"))
    if query not in defined.nodes and model not in defined.graph.models:
        return None
    node = Node("bi_view", table.name, table.description, table.owner, table.file, generated=True)
    id = defined.add(node)
    for column in table.columns:
        defined.weak[f"{table.name}.{column}"][id] = None
    if query in defined.nodes:
        defined.link(query, id, "identity")
    else:
        _wide(defined, table, said.get("metrics"), model, id)
    return node


def _wide(defined: Defined, table: Table, metrics: object, model: str, id: str) -> None:
    """A wide view has what the facts of a semantic model are grouped by, and the inputs of the metrics beside it."""
    told = [str(name) for name in metrics] if isinstance(metrics, dict) else []
    defined.link([defined.metric(name) for name in told if name in defined.graph.metrics], id, "part")
    for column in table.columns:
        segments, _ = defined.graph.split_grain(tuple(column.split("__")))
        found = defined.graph.plain_attribute(model, segments)
        if found is not None:
            defined.link_seen(found, id, "identity")


def _exposure(defined: Defined, exposure: Exposure, ours: dict[str, Node]) -> None:
    said = exposure.meta.get("gemel")
    service = f"feature_service:{said.get('feature_service')}" if isinstance(said, dict) else ""
    about = exposure.description or exposure.label
    node = Node(
        "exposure",
        exposure.name,
        about,
        exposure.owner,
        exposure.file,
        exposure.url,
        generated=service in defined.nodes,
    )
    id = defined.add(node)
    if node.generated:  # it names the tables of the service's views, and the service says which of their columns
        defined.link(service, id, "identity")
    else:
        defined.link(_of_dbt(exposure.parents, defined, ours), id, "part")


def _of_dbt(ids: Iterable[str], defined: Defined, ours: dict[str, Node]) -> list[str]:
    """The nodes of dbt's ids: `model.shop.orders`, `source.shop.raw.orders`, `metric.shop.revenue`."""
    found = []
    for id in ids:
        kind, _, name = id.partition(".")
        if id in ours:
            found.append(ours[id].id)
        elif id in defined.dag.tables:
            table = defined.dag.tables[id]
            found.append(f"{table.kind}:{table.name}")
        elif (node := f"{kind}:{name.rpartition('.')[2].lower()}") in defined.nodes:
            found.append(node)
    return found
