"""Bind feature views to the metrics of a project: every column of a feature table is resolved, or an error."""

from collections.abc import Iterator
from dataclasses import replace

from gemel.compiler.names.graph import Graph
from gemel.errors import BridgeError, GemelError, Problems, did_you_mean
from gemel.features.bound import Bound, BoundView
from gemel.features.leaks import find_leaks
from gemel.features.plans import find_refusals, place_at, plan_table
from gemel.features.services import bind_service
from gemel.features.shapes import fingerprint_name
from gemel.features.types import certain_type
from gemel.on_demand.binding import bind_on_demand
from gemel.spec.feature_views import (
    RESERVED,
    DimensionFeature,
    Feature,
    FeatureSpec,
    FeatureView,
    MetricFeature,
    values_of,
)


def bind_features(graph: Graph, spec: FeatureSpec) -> Bound:
    """Resolve the names of every view and service. Raises Problems with all errors."""
    problems: list[GemelError] = []
    warnings: list[GemelError] = []
    views: dict[str, BoundView] = {}
    entities = {entity.name for model in graph.models.values() for entity in model.entities}
    nodes = {model.relation.name for model in graph.models.values()}
    for view in spec.views:
        errors = list(_problems(graph, view, entities, nodes, {each.name for each in spec.views}))
        if not errors:
            try:
                views[view.name] = _bind_view(graph, view, problems)
                warnings.extend(find_leaks(graph, view))
            except GemelError as error:
                errors = list(find_refusals(graph, view)) or [place_at(error, view.place)]
        problems.extend(errors)
    if spec.on_demand and not spec.views:
        message = "the project has on-demand views but no feature view, and so no Feast repository"
        hint = "add a feature view; features of inputs alone need no feature store"
        problems.append(BridgeError("G511", message, hint=hint, place=spec.on_demand[0].place))
    sources = {view.name: views.get(view.name, view) for view in spec.views}
    unread = sources.keys() - views.keys()
    bound_on_demand = [bind_on_demand(view, sources, unread, problems) for view in spec.on_demand]
    on_demand = {each.name: each for each in bound_on_demand if each}
    services = [bind_service(service, views, on_demand, problems) for service in spec.services]
    if problems:
        raise Problems(dict.fromkeys(problems))
    return Bound(tuple(views.values()), tuple(services), tuple(warnings), tuple(on_demand.values()))


def _problems(
    graph: Graph, view: FeatureView, entities: set[str], nodes: set[str], tables: set[str]
) -> Iterator[GemelError]:
    """Problems of a view itself, apart from its features. `nodes` are the names of dbt's models, `tables` of views."""
    unknown = [entity for entity in view.entities if entity not in entities]
    for entity in unknown:
        yield BridgeError(
            "G506",
            f"feature view {view.name!r} is about {entity!r}, which is not an entity of any semantic model",
            hint=did_you_mean(entity, entities) or f"there are {', '.join(sorted(entities)) or 'none'}",
            place=view.place,
        )
    composite = [entity for entity in view.entities if entity in graph.composites]
    for entity in composite:
        names = graph.composites[entity]
        yield BridgeError(
            "G508",
            f"feature view {view.name!r} is about {entity!r}, a key of {len(names)} columns, but Feast looks rows up "
            "by one value for each entity",
            hint=f"define an entity for each of {', '.join(names)}, and write `entities:` with all of them",
            place=view.place,
        )
    if not unknown and not composite and not any(isinstance(feature, MetricFeature) for feature in view.features):
        yield BridgeError(
            "G511",
            f"feature view {view.name!r} has no metric: its rows come from the facts of its metrics",
            hint="add a metric; a feature view of dimensions alone is not supported yet",
            place=view.place,
        )
    if view.name in nodes:
        yield BridgeError(
            "G503",
            f"feature view {view.name!r} has the name of a dbt model",
            hint="rename the view: its table is a dbt model too",
            place=view.place,
        )
    beside = fingerprint_name(view)
    if beside in nodes | tables:
        yield BridgeError(
            "G503",
            f"feature view {view.name!r} keeps a table {beside!r} beside its own, and another table has that name",
            hint="rename one of them, or give the view `detect: false`",
            place=view.place,
        )


def _bind_view(graph: Graph, view: FeatureView, problems: list[GemelError]) -> BoundView:
    features = tuple(column for feature in view.features for column in _columns(graph, feature))
    plan = plan_table(graph, replace(view, features=features))
    names = {*view.entities, *RESERVED}
    for feature in features:
        if feature.name in names:
            problems.append(
                BridgeError(
                    "G503",
                    f"two columns of feature view {view.name!r} would be named {feature.name!r}",
                    hint="give the feature another name with `name:`",
                    place=feature.place,
                )
            )
        names.add(feature.name)
    return BoundView(**values_of(view) | {"features": features}, plan=plan)


def _columns(graph: Graph, feature: Feature) -> Iterator[Feature]:
    """A feature, and the sides of a ratio, with the types that the definition determines."""
    match feature:
        case MetricFeature():
            metric = graph.metric(feature.metric)
            yield replace(feature, dtype=feature.dtype or certain_type(graph, metric))
            for part, used in metric.definition.sides.items():
                one = replace(feature, name=f"{feature.name}__{part}", part=part, description=None)
                yield replace(one, dtype=certain_type(graph, graph.metrics[used.name]))
        case DimensionFeature():
            yield feature
