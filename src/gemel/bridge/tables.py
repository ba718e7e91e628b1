"""A bound feature view to the dbt model that builds its table: SQL with `{{ ref(...) }}`, and its properties."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import yaml
from sqlglot import exp

from gemel.bridge.features import NOW, Bound, BoundService, BoundView, Column
from gemel.bridge.types import TYPES
from gemel.compiler import dialects, lowering, rules
from gemel.compiler.expressions import identifier
from gemel.compiler.graph import Graph
from gemel.compiler.moments import MOMENT, plan_features
from gemel.spec.feature_views import MetricFeature
from gemel.spec.manifest import Relation
from gemel.spec.nodes import Nodes

CREATED = "created_timestamp"
DATA = PurePosixPath("feature_views/data")
"""Where dbt puts a copy of each feature table as Parquet, for Feast's DuckDB offline store."""

Types = Mapping[str, str]
"""The type of each column of one view by name, entities included: `{"carrier": "string"}`."""

# What dbt fills in when it runs: facts after `gemel_until` are not known yet; by default that is now.
_UNTIL = '{{ var("gemel_until", run_started_at.strftime("%Y-%m-%d %H:%M:%S")) }}'
_STARTED = '{{ run_started_at.strftime("%Y-%m-%d %H:%M:%S.%f") }}'


def model_sql(graph: Graph, view: BoundView, types: Types, *, nodes: Nodes) -> str:
    """The body of `models/features/<view>.sql`, without the header. `nodes` knows what `ref()` takes."""

    def referred(relation: Relation) -> exp.Table:
        return exp.Table(this=exp.Identifier(this=f"{{{{ {nodes.ref(relation)} }}}}", quoted=False))

    select = _select(graph, view, _timestamp(_UNTIL), types, referred)
    return f"{_config(view)}\n\n{dialects.speak(select, 'duckdb')}\n"


def natural_sql(graph: Graph, view: BoundView, catalogs: frozenset[str] | None) -> str:
    """The same table with no column cast, over the relations themselves: for the engine to say their types."""
    return dialects.speak(_select(graph, view, NOW, {}, dialects.named(catalogs)), "duckdb")


def digest(graph: Graph, view: BoundView, column: Column | None = None) -> str:
    """Twelve hex digits that change when what is computed does: for the whole table, or for one column.

    Feast does not see a changed formula under an unchanged name; this, among the tags, shows it.
    """
    columns = (column, *_makers(view, column)) if column else view.columns
    select = _select(graph, BoundView(view.view, columns), NOW, {}, dialects.referred)
    return hashlib.sha256(dialects.speak(select, "duckdb").encode()).hexdigest()[:12]


def _makers(view: BoundView, column: Column) -> tuple[Column, ...]:
    """A dimension alone has no rows; the view's first metric makes them."""
    if isinstance(column.feature, MetricFeature):
        return ()
    return tuple(c for c in view.columns if isinstance(c.feature, MetricFeature))[:1]


def _select(graph: Graph, view: BoundView, until: exp.Expr, types: Types, tables: lowering.Tables) -> exp.Select:
    sql = {name: TYPES[type_].sql for name, type_ in types.items()}
    select = lowering.lower(rules.tidy(plan_features(graph, view.query(until, sql))), tables)
    for output in select.selects[: len(view.view.entities)]:
        if output.alias_or_name in sql:
            name = output.alias_or_name
            value = output.this if isinstance(output, exp.Alias) else output
            cast = exp.cast(value.copy(), exp.DataType.build(sql[name], dialect="duckdb"))
            output.replace(exp.alias_(cast, name))
    return select.select(exp.alias_(_timestamp(_STARTED), CREATED), copy=False)


def _timestamp(text: str) -> exp.Expr:
    return exp.cast(exp.Literal.string(text), exp.DataType.Type.TIMESTAMP)


def _config(view: BoundView) -> str:
    copy = f"COPY (FROM {{{{ this }}}} ORDER BY {_keys(view)}) TO '{DATA / view.name}.parquet' (FORMAT parquet)"
    return f'{{{{ config(\n    materialized="table",\n    post_hook={json.dumps(copy)}\n) }}}}'


def _keys(view: BoundView) -> str:
    """What a row is told apart by, as SQL: `carrier, event_timestamp`; `"order"` where the word is SQL's own."""
    return ", ".join(identifier(name).sql("duckdb") for name in (*view.view.entities, MOMENT))


def properties(graph: Graph, bound: Bound, types: Mapping[str, Types]) -> str:
    """`_feature_views.yml`: what dbt and its readers should know of each table, and the tests that guard it."""
    return _yaml({"models": [_model(graph, view, types[view.name]) for view in bound.views]})


def exposures(bound: Bound) -> str:
    """`_feature_services.yml`: dbt's lineage ends at the models that learn from the features."""
    return _yaml({"exposures": [_exposure(service) for service in bound.services]})


def _model(graph: Graph, view: BoundView, types: Types) -> dict[str, Any]:
    spec = view.view
    columns: list[dict[str, Any]] = [
        {"name": entity, "description": _plain(_entity_text(graph, entity)), "data_type": TYPES[types[entity]].sql}
        | ({"quote": True} if identifier(entity).quoted else {})
        | _TESTED
        for entity in spec.entities
    ]
    moment = f"The moment, in UTC: the row holds what was known before it, {_lag(view)}."
    columns.append({"name": MOMENT, "description": moment, "data_type": "TIMESTAMP"} | _TESTED)
    for column in view.columns:
        described = {"description": _plain(column.description)} if column.description else {}
        columns.append({"name": column.name, **described, "data_type": TYPES[types[column.name]].sql})
    created = "When dbt made the row, in UTC. Of two rows for one moment the later one counts."
    columns.append({"name": CREATED, "description": created, "data_type": "TIMESTAMP"} | _TESTED)
    unique = {
        "unique": {
            "name": f"{view.name}_has_one_row_for_each_moment",
            "arguments": {"column_name": f"({_keys(view)})"},
        }
    }
    return {
        "name": view.name,
        "description": _plain(spec.description or f"Features of {' and '.join(spec.entities)}."),
        "config": {"meta": {"gemel": {"feature_view": view.name, "definition": digest(graph, view)}}},
        "data_tests": [unique],
        "columns": columns,
    }


_TESTED = {"data_tests": ["not_null"]}


def _lag(view: BoundView) -> str:
    delay = view.view.delay
    by = f"by {view.view.known_at}" if view.view.known_at else "by the time that facts are reported under"
    return f"{by}, and was there {delay}{'s' if delay.count > 1 else ''} later" if delay else by


def _entity_text(graph: Graph, name: str) -> str:
    found = [entity for model in graph.ways.keyed(name) if (entity := graph.entity(model, name))]
    found += [entity for model in graph.models.values() for entity in model.entities if entity.name == name]
    return next((e.description for e in found if e.description), f"The {name}.")


def _exposure(bound: BoundService) -> dict[str, Any]:
    service = bound.service
    features = [
        f"{view.name}.{name}"
        for view, names in bound.views
        for name in names or [column.name for column in view.columns]
    ]
    owner = {"email": service.owner} if "@" in service.owner else {"name": service.owner}
    return {
        "name": service.name,
        "type": "ml",
        "description": _plain(service.description or f"The features of {service.name}."),
        "owner": owner,
        "depends_on": [f"ref('{view.name}')" for view, _ in bound.views],
        "config": {"meta": {"gemel": {"feature_service": service.name, "features": features}}},
    }


def _plain(text: str | None) -> str:
    """On one line, and kept from dbt, which renders descriptions."""
    flat = " ".join((text or "").split())
    return f"{{% raw %}}{flat}{{% endraw %}}" if "{{" in flat or "{%" in flat or "{#" in flat else flat


class _Dumper(yaml.SafeDumper):
    """Lists indented under their key, as dbt's own examples are."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _yaml(content: dict[str, Any]) -> str:
    return str(yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110))
