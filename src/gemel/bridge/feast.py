"""The Feast repository as text: entities, sources, views and services in Python that a person can review.

Nothing here imports Feast, which would cost 7 to 10 seconds. Python is written as `ruff format` would.
"""

import json
from collections.abc import Iterable, Iterator, Mapping

import yaml

from gemel.bridge.features import Bound, BoundService, BoundView, Column, as_asked
from gemel.bridge.sources import Table, Warehouse, Written
from gemel.bridge.tables import CREATED, DATA, Types, digest
from gemel.bridge.types import TYPES
from gemel.compiler.cells import MOMENT
from gemel.compiler.graph import Graph
from gemel.compiler.moments import sight
from gemel.spec.feature_views import MetricFeature
from gemel.spec.time import Window

WIDTH = 88
REGISTRY, ONLINE = "registry.db", "online_store.db"


def store_yaml(project: str, kind: Warehouse, settings: Written) -> str:
    """`feature_store.yaml`: the warehouse's offline store, SQLite online. Paths are relative to the file, as Feast
    takes them.

    Feast's default offline store loses rows, so another one is always named.
    """
    offline = {name: value for name, value in kind.settings(settings).items() if value is not None}
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
    graph: Graph,
    bound: Bound,
    types: Mapping[str, Types],
    *,
    project: str,
    kind: Warehouse,
    tables: Mapping[str, Table],
) -> str:
    """`definitions.py`, without the header. `project` is dbt's name of the project, for its unique ids.

    `tables` says where each view's table is, in a warehouse of `kind`.
    """
    keys = {entity: types[view.name][entity] for view in bound.views for entity in view.view.entities}
    blocks = ["\n".join(_imports(bound, types, kind))]
    blocks += ['TABLES = Path(__file__).resolve().parent / "data"'] if kind.is_copied else []
    blocks += [_entity(graph, entity, type_) for entity, type_ in keys.items()]
    for view in bound.views:
        blocks.append(_source(graph, view, project, kind, tables[view.name]))
        if view.view.push:
            blocks.append(_push_source(view, view.view.push))
        blocks.append(_view(graph, view, types[view.name], project))
    blocks += [_service(service, project) for service in bound.services]
    text = "\n\n".join(blocks) + "\n"
    long = any(len(line) > WIDTH for line in text.splitlines())
    return f"# ruff: noqa: E501\n{text}" if long else text  # descriptions are not broken over lines


def _imports(bound: Bound, types: Mapping[str, Types], kind: Warehouse) -> Iterator[str]:
    used = sorted({TYPES[type_].feast for view in bound.views for type_ in types[view.name].values()})
    service = ["FeatureService"] if bound.services else []
    yield "from datetime import timedelta"
    if kind.is_copied:
        yield "from pathlib import Path"
    yield ""
    source = [kind.source] if kind.module == "feast" else []
    pushed = ["PushSource"] if any(view.view.push for view in bound.views) else []
    names = ["Entity", *service, "FeatureView", "Field", *pushed, "ValueType", *source]
    yield _import("feast", names)
    if not source:
        yield _import(kind.module, [kind.source])
    yield _import("feast.types", used)


def _import(module: str, names: Iterable[str]) -> str:
    line = f"from {module} import {', '.join(sorted(names))}"
    if len(line) <= WIDTH:
        return line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in sorted(names)) + ")"


def _entity(graph: Graph, name: str, type_: str) -> str:
    described = [e for model in graph.models.values() for e in model.entities if e.name == name and e.description]
    keyed = [entity for entity in described if entity.type != "foreign"]
    description = " ".join((keyed or described)[0].description.split()) if described else None  # type: ignore[union-attr]
    return f"{name}_entity = " + _call(
        "Entity",
        name=_text(name),
        join_keys=f"[{_text(name)}]",
        value_type=f"ValueType.{TYPES[type_].value}",
        description=_text(description) if description else None,
    )


def _source(graph: Graph, view: BoundView, project: str, kind: Warehouse, table: Table) -> str:
    copied = f"A copy of dbt's table {view.name}, made whenever dbt builds it."
    return f"{view.name}_source = " + _call(
        kind.source,
        name=_text(f"{view.name}_source"),
        # Feast resolves a relative path against whatever directory it runs in, so that of a file is made absolute.
        **kind.arguments(table),
        timestamp_field=_text(MOMENT),
        created_timestamp_column=_text(CREATED),
        description=_text(copied if kind.is_copied else f"dbt's table {view.name}."),
        tags=_tags({"dbt": f"model.{project}.{view.name}", "definition": digest(graph, view)}),
        owner=_text(view.view.owner) if view.view.owner else None,
    )


def _push_source(view: BoundView, name: str) -> str:
    return f"{view.name}_push_source = " + _call(
        "PushSource",
        name=_text(name),
        batch_source=f"{view.name}_source",
        description=_text(
            f"Rows of {view.name} that are newer than its table; they are served until it has newer ones."
        ),
        owner=_text(view.view.owner) if view.view.owner else None,
    )


def _view(graph: Graph, view: BoundView, types: Types, project: str) -> str:
    spec = view.view
    keys = [_call("Field", name=_text(e), dtype=TYPES[types[e]].feast) for e in spec.entities]
    fields = [_field(graph, view, column, types, project) for column in view.columns]
    return f"{view.name}_view = " + _call(
        "FeatureView",
        name=_text(spec.name),
        entities=f"[{', '.join(f'{entity}_entity' for entity in spec.entities)}]",
        ttl=_timedelta(spec.ttl),
        schema=_list([*keys, *fields]),
        source=f"{view.name}_push_source" if spec.push else f"{view.name}_source",
        online=str(spec.online),
        description=_text(" ".join(spec.description.split())) if spec.description else None,
        tags=_tags(
            {
                **dict(spec.tags),
                "dbt": f"model.{project}.{view.name}",
                "schedule": spec.schedule,
                "known_at": spec.known_at,
                "delay": str(spec.delay) if spec.delay else None,
                "definition": digest(graph, view),
            }
        ),
        owner=_text(spec.owner) if spec.owner else None,
    )


def _field(graph: Graph, view: BoundView, column: Column, types: Types, project: str) -> str:
    feature = column.feature
    if isinstance(feature, MetricFeature):
        back = sight(graph, as_asked(feature))
        window = f"{back} to date" if isinstance(back, str) else str(back or "all time")
        told: dict[str, str | None] = {
            "dbt": f"metric.{project}.{feature.metric}",
            "metric": feature.metric,
            "window": window,
        }
        told["part"] = column.part
    else:
        told = {"dimension": feature.dimension, "as_of": "current" if feature.current else None}
    return _call(
        "Field",
        name=_text(column.name),
        dtype=TYPES[types[column.name]].feast,
        description=_text(column.description) if column.description else None,
        tags=_tags({**told, "definition": digest(graph, view, column)}),
    )


def _service(bound: BoundService, project: str) -> str:
    service = bound.service
    taken = [f"{view.name}_view{_selection(names) if names else ''}" for view, names in bound.views]
    return f"{service.name}_service = " + _call(
        "FeatureService",
        name=_text(service.name),
        features=_list(taken),
        description=_text(" ".join(service.description.split())) if service.description else None,
        tags=_tags({**dict(service.tags), "dbt": f"exposure.{project}.{service.name}"}),
        owner=_text(service.owner),
    )


def _selection(names: Iterable[str]) -> str:
    """`[["flights_7d", "late_rate_7d"]]`"""
    inner = _list(map(_text, names))
    return "[\n" + "".join(f"    {line}\n" for line in inner.splitlines()) + "]" if "\n" in inner else f"[{inner}]"


def _timedelta(window: Window | None) -> str:
    return f"timedelta({window.unit}s={window.count})" if window else "timedelta(0)"


def _tags(tags: Mapping[str, str | None]) -> str:
    items = [f"{_text(key)}: {_text(value)}" for key, value in tags.items() if value is not None]
    return _bracket("{", items, "}")


def _list(items: Iterable[str]) -> str:
    return _bracket("[", list(items), "]")


def _call(name: str, /, **arguments: str | None) -> str:
    return _bracket(f"{name}(", [f"{key}={value}" for key, value in arguments.items() if value], ")")


def _bracket(opening: str, items: list[str], closing: str) -> str:
    """On one line where it is short; else an item a line, with the comma that tells formatters to leave it so."""
    line = opening + ", ".join(items) + closing
    if len(line) <= WIDTH // 2 and "\n" not in line:
        return line
    body = "".join(f"    {line}\n" for item in items for line in f"{item},".splitlines())
    return f"{opening}\n{body}{closing}"


def _text(text: str) -> str:
    """As a Python literal, in the quotes that ruff would choose, escapes and all."""
    double = json.dumps(text, ensure_ascii=not text.isprintable())
    if text.count('"') <= text.count("'"):
        return double
    return "'" + double[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"
