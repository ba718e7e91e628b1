"""The Feast repository as text: entities, sources, views and services as readable Python.

Nothing here imports Feast, which would cost 7 to 10 seconds. Python is written as `ruff format` would.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import yaml

from gemel.compiler.features.cells import MOMENT
from gemel.compiler.features.reach import find_window
from gemel.compiler.names.graph import Graph
from gemel.engines.engine import Capability, Engine
from gemel.engines.stores import FEAST, Table, TargetSettings
from gemel.features.bound import Bound, BoundService, BoundView
from gemel.features.descriptions import describe
from gemel.features.on_demand_text import on_demand_view, request_source
from gemel.features.sources import find_offline_store
from gemel.features.tables import CREATED, DATA, Tables, Types
from gemel.features.types import TYPES
from gemel.on_demand.computing import Computed
from gemel.python_text import WIDTH, bracket, call, format_list, literal, tags
from gemel.spec.feature_views import Feature, MetricFeature
from gemel.spec.time import Window

REGISTRY, ONLINE = "registry.db", "online_store.db"


def store_yaml(project: str, engine: Engine, settings: TargetSettings) -> str:
    """`feature_store.yaml`: the warehouse's offline store, SQLite online. Paths are relative to the file, as Feast
    takes them.

    Feast's default offline store loses rows, so another one is always named.
    """
    offline = {
        name: value for name, value in find_offline_store(engine).settings(settings).items() if value is not None
    }
    content = {
        "project": project,
        "provider": "local",
        "registry": f"{DATA.name}/{REGISTRY}",
        "offline_store": offline,
        "online_store": {"type": "sqlite", "path": f"{DATA.name}/{ONLINE}"},
        "entity_key_serialization_version": 3,
    }
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def definitions(
    tables: Tables,
    bound: Bound,
    types: Mapping[str, Types],
    computed: Sequence[Computed],
    *,
    project: str,
    engine: Engine,
    places: Mapping[str, Table],
) -> str:
    """`definitions.py`, without the header. `project` is dbt's name of the project, for its unique ids.

    `places` are the places of the views' tables in `engine`.
    """
    keys = {entity: types[view.name][entity] for view in bound.views for entity in view.entities}
    blocks = ["\n".join(_imports(bound, types, computed, engine))]
    blocks += ['TABLES = Path(__file__).resolve().parent / "data"'] if engine.has(Capability.COPIED) else []
    blocks += [_entity(tables.graph, entity, type_) for entity, type_ in keys.items()]
    for view in bound.views:
        blocks.append(_source(tables, view, project, engine, places[view.name]))
        if view.push:
            blocks.append(_push_source(view, view.push))
        blocks.append(_view(tables, view, types[view.name], project))
    views = {view.name: view for view in bound.views}
    for each in computed:
        blocks += [request_source(each), on_demand_view(each, tables.digests_of(views, each.view.sources))]
    blocks += [_service(service, project) for service in bound.services]
    text = "\n\n".join(blocks) + "\n"
    long = any(len(line) > WIDTH for line in text.splitlines())
    return f"# ruff: noqa: E501\n{text}" if long else text  # descriptions are not broken over lines


def _imports(bound: Bound, types: Mapping[str, Types], computed: Sequence[Computed], engine: Engine) -> Iterator[str]:
    kinds = [type_ for view in bound.views for type_ in types[view.name].values()]
    kinds += [type_ for each in computed for _, type_ in each.view.inputs]
    kinds += [type_ for each in computed for type_ in each.types().values()]
    used = sorted({TYPES[type_].feast for type_ in kinds})
    service = ["FeatureService"] if bound.services else []
    yield "from datetime import timedelta"
    if engine.has(Capability.COPIED):
        yield "from pathlib import Path"
    yield ""
    store = find_offline_store(engine)
    source = [store.source] if store.module == FEAST else []
    pushed = ["PushSource"] if any(view.push for view in bound.views) else []
    request = ["RequestSource"] if computed else []
    names = ["Entity", *service, "FeatureView", "Field", *pushed, *request, "ValueType", *source]
    yield _import(FEAST, names)
    if not source:
        yield _import(store.module, [store.source])
    if computed:
        yield "from feast.on_demand_feature_view import on_demand_feature_view"
    yield _import("feast.types", used)


def _import(module: str, names: Iterable[str]) -> str:
    line = f"from {module} import {', '.join(sorted(names))}"
    return line if len(line) <= WIDTH else bracket(f"from {module} import (", sorted(names), ")")


def _entity(graph: Graph, name: str, type_: str) -> str:
    entities = [entity for model in graph.models.values() for entity in model.entities if entity.name == name]
    texts = [each.description for each in sorted(entities, key=lambda each: each.type == "foreign") if each.description]
    description = " ".join(texts[0].split()) if texts else None
    return f"{name}_entity = " + call(
        "Entity",
        name=literal(name),
        join_keys=f"[{literal(name)}]",
        value_type=f"ValueType.{TYPES[type_].value}",
        description=literal(description) if description else None,
    )


def _source(tables: Tables, view: BoundView, project: str, engine: Engine, table: Table) -> str:
    store = find_offline_store(engine)
    copied = f"A copy of dbt's table {view.name}, written whenever dbt builds it."
    return f"{view.name}_source = " + call(
        store.source,
        name=literal(f"{view.name}_source"),
        **store.arguments(table),
        timestamp_field=literal(MOMENT),
        created_timestamp_column=literal(CREATED),
        description=literal(copied if engine.has(Capability.COPIED) else f"dbt's table {view.name}."),
        tags=tags({"dbt": f"model.{project}.{view.name}", "definition": tables.digest(view)}),
        owner=literal(view.owner) if view.owner else None,
    )


def _push_source(view: BoundView, name: str) -> str:
    return f"{view.name}_push_source = " + call(
        "PushSource",
        name=literal(name),
        batch_source=f"{view.name}_source",
        description=literal(
            f"Rows that are newer than the table of {view.name}; they are served until the table has newer ones."
        ),
        owner=literal(view.owner) if view.owner else None,
    )


def _view(tables: Tables, view: BoundView, types: Types, project: str) -> str:
    keys = [call("Field", name=literal(e), dtype=TYPES[types[e]].feast) for e in view.entities]
    digests = tables.digests(view)
    fields = [_field(tables.graph, each, types[each.name], project, digests[each.name]) for each in view.features]
    return f"{view.name}_view = " + call(
        "FeatureView",
        name=literal(view.name),
        entities=f"[{', '.join(f'{entity}_entity' for entity in view.entities)}]",
        ttl=_timedelta(view.ttl),
        schema=format_list([*keys, *fields]),
        source=f"{view.name}_push_source" if view.push else f"{view.name}_source",
        online=str(view.online),
        description=literal(" ".join(view.description.split())) if view.description else None,
        tags=tags(
            {
                **dict(view.tags),
                "dbt": f"model.{project}.{view.name}",
                "schedule": view.schedule,
                "known_at": view.known_at,
                "delay": str(view.delay) if view.delay else None,
                "definition": tables.digest(view),
            }
        ),
        owner=literal(view.owner) if view.owner else None,
    )


def _field(graph: Graph, feature: Feature, type_: str, project: str, definition: str) -> str:
    if isinstance(feature, MetricFeature):
        back = find_window(graph, feature)
        window = f"{back} to date" if isinstance(back, str) else str(back or "all time")
        properties: dict[str, str | None] = {
            "dbt": f"metric.{project}.{feature.metric}",
            "metric": feature.metric,
            "window": window,
        }
        properties["part"] = feature.part
    else:
        properties = {"dimension": feature.dimension, "as_of": "current" if feature.current else None}
    text = describe(graph, feature)
    return call(
        "Field",
        name=literal(feature.name),
        dtype=TYPES[type_].feast,
        description=literal(text) if text else None,
        tags=tags({**properties, "definition": definition}),
    )


def _service(service: BoundService, project: str) -> str:
    features = [f"{view.name}_view{_selection(names) if names else ''}" for view, names in service.selected]
    return f"{service.name}_service = " + call(
        "FeatureService",
        name=literal(service.name),
        features=format_list(features),
        description=literal(" ".join(service.description.split())) if service.description else None,
        tags=tags({**dict(service.tags), "dbt": f"exposure.{project}.{service.name}"}),
        owner=literal(service.owner),
    )


def _selection(names: Iterable[str]) -> str:
    """`[["flights_7d", "late_rate_7d"]]`"""
    inner = format_list(map(literal, names))
    return "[\n" + "".join(f"    {line}\n" for line in inner.splitlines()) + "]" if "\n" in inner else f"[{inner}]"


def _timedelta(window: Window | None) -> str:
    return f"timedelta({window.unit}s={window.count})" if window else "timedelta(0)"
