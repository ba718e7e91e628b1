"""Converts the items of dbt's semantic_manifest.json back to YAML, for exports to files of other tools.

It is the legacy YAML, which every dbt version reads. A metric written over columns (newer YAML) becomes a measure and a
metric.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gemel.dbt.semantic.models import read_relation
from gemel.spec.fields import Json, objects
from gemel.spec.project import DbtProject


@dataclass(frozen=True, slots=True)
class Definitions:
    """Items by name, each as in YAML under `semantic_models:`, `metrics:` and `saved_queries:`."""

    models: Mapping[str, Json]
    metrics: Mapping[str, Json]
    saved_queries: Mapping[str, Json]


def read_definitions(file: Path, dbt: DbtProject) -> Definitions:
    """The definitions in a valid semantic_manifest.json."""
    return parse_definitions(json.loads(file.read_bytes()), dbt)


def parse_definitions(manifest: Json, dbt: DbtProject) -> Definitions:
    """The definitions in the content of a valid semantic_manifest.json."""
    models = {_name(item): _model(item, dbt) for item in objects(manifest, "semantic_models")}
    created = {
        measure["name"]
        for model in models.values()
        for measure in objects(model, "measures")
        if measure.get("create_metric")
    }
    items = {_name(item): item for item in objects(manifest, "metrics")}
    for item in items.values():
        aggregation = _params(item).get("metric_aggregation_params")
        if aggregation:
            model = models[str(aggregation["semantic_model"]).lower()]
            model.setdefault("measures", []).append(_measure_of(item, aggregation))
    return Definitions(
        models,
        {name: _metric(item, items) for name, item in items.items() if name not in created},
        {_name(item): _saved_query(item) for item in objects(manifest, "saved_queries")},
    )


def _name(item: Json) -> str:
    return str(item["name"]).lower()


def _params(item: Json) -> Json:
    return item.get("type_params") or {}


def _model(item: Json, dbt: DbtProject) -> Json:
    relation = read_relation(item.get("node_relation") or {}, of="a semantic model")
    rest = {key: value for key, value in item.items() if key not in ("node_relation", "name", "description")}
    head: Json = _clean({"name": item["name"], "description": item.get("description")})
    return {**head, "model": dbt.ref(relation), **_clean(rest)}


def _metric(item: Json, items: Mapping[str, Json]) -> Json:
    params = dict(_params(item))
    aggregation = params.pop("metric_aggregation_params", None)
    if aggregation:
        filled = {key: params.pop(key, None) for key in ("fill_nulls_with", "join_to_timespine")}
        params.pop("expr", None)
        params["measure"] = {"name": item["name"], **filled}
    if params.get("cumulative_type_params") and not params.get("measure"):
        nested = dict(params["cumulative_type_params"])
        params["measure"] = _measure_input(nested.pop("metric", None), items)
        params["cumulative_type_params"] = nested
    if params.get("conversion_type_params"):
        nested = dict(params["conversion_type_params"])
        for side in ("base", "conversion"):
            metric = nested.pop(f"{side}_metric", None)
            if not nested.get(f"{side}_measure"):
                nested[f"{side}_measure"] = _measure_input(metric, items)
        params["conversion_type_params"] = nested
    rest = {key: value for key, value in item.items() if key != "type_params"}
    written: Json = _clean({**rest, "type_params": params})
    return written


def _measure_input(metric: Json | None, items: Mapping[str, Json]) -> Json | None:
    """The measure of a simple metric as an input of another metric, with the filters of both."""
    if metric is None:
        return None
    inner = items[_name(metric)]
    params = _params(inner)
    measure = params.get("measure") or {"name": inner["name"]}
    measure = {"name": measure} if isinstance(measure, str) else dict(measure)
    for key in ("fill_nulls_with", "join_to_timespine"):
        measure[key] = measure.get(key) if measure.get(key) is not None else params.get(key)
    filters = [*_filters(measure.get("filter")), *_filters(inner.get("filter")), *_filters(metric.get("filter"))]
    return {**measure, "filter": filters, "alias": metric.get("alias")}


def _measure_of(item: Json, aggregation: Json) -> Json:
    rest = {key: value for key, value in aggregation.items() if key != "semantic_model"}
    measure: Json = _clean({"name": item["name"], "expr": _params(item).get("expr"), **rest})
    return measure


def _saved_query(item: Json) -> Json:
    exports = []
    for each in objects(item, "exports"):
        config = dict(each.get("config") or {})
        config["schema"] = config.pop("schema_name", None)
        exports.append({**each, "config": config})
    query: Json = _clean({**item, "exports": exports})
    if tags := query.pop("tags", None):
        query["config"] = {**query.get("config", {}), "tags": tags}
    return query


def _clean(value: Any, key: str = "") -> Any:
    """A value without what dbt adds to it, and with the parts of windows and filters joined as in YAML."""
    match value:
        case _ if key == "meta":  # the user's own, unchanged
            return value
        case dict() | list() if key in ("filter", "where"):
            return _one(_filters(value))
        case {"count": count, "granularity": unit, **rest} if not rest:
            return f"{count} {unit}"
        case dict():
            plain = {name: _clean(inner, name) for name, inner in value.items() if name not in _ADDED}
            written = {name: inner for name, inner in plain.items() if inner not in (None, [], {}, "")}
            return {name: inner for name, inner in written.items() if inner is not False or name not in _DEFAULTS}
        case list():
            return [_clean(inner) for inner in value]
        case _:
            return value


_ADDED = frozenset({"metadata", "input_measures", "input_metrics", "is_private"})
"""Keys that dbt or MetricFlow adds."""

_DEFAULTS = frozenset({"join_to_timespine", "create_metric", "is_partition", "is_start", "is_end"}) | frozenset(
    {"use_discrete_percentile", "use_approximate_percentile"}
)
"""Keys that are false by default."""


def _filters(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case {"where_sql_template": str() as text}:
            return [text]
        case {"where_filters": list() as inner}:
            return _filters(inner)
        case list():
            return [text for each in value for text in _filters(each)]
        case _:
            return []


def _one(texts: list[str]) -> str | list[str] | None:
    return texts if len(texts) > 1 else texts[0] if texts else None
