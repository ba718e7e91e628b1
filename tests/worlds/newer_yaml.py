"""Rewrites a project's legacy YAML in the newer one, which dbt-core 1.12 reads: the same definitions."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

Item = dict[str, Any]
WORDS = ("name", "label", "description", "config")


def rewrite_project(root: Path, folders: Sequence[str]) -> None:
    """Change the YAML files in these folders of a project. A file in which nothing is left goes."""
    files = {
        file: yaml.safe_load(file.read_text()) for name in folders for file in sorted((root / name).rglob("*.yml"))
    }
    definitions = [item for content in files.values() for item in content.pop("semantic_models", ())]
    metrics = {item["name"]: item for content in files.values() for item in content.get("metrics", ())}
    properties = {item["name"]: item for content in files.values() for item in content.get("models", ())}
    taken: set[str] = set()
    for model in definitions:
        name = re.fullmatch(r"ref\('(\w+)'\)", model["model"])[1]
        taken |= _put(properties[name], model, metrics)
    for file, content in files.items():
        if content.get("metrics"):
            content["metrics"] = [_metric(item) for item in content["metrics"] if item["name"] not in taken]
        kept = {key: value for key, value in content.items() if value not in ([], None)}
        file.write_text(yaml.safe_dump(kept, sort_keys=False)) if kept.keys() - {"version"} else file.unlink()


def _put(properties: Item, model: Item, metrics: dict[str, Item]) -> set[str]:
    """Put a semantic model into the properties of its dbt model. Returns the names of the metrics that move there."""
    columns = {column["name"]: column for column in properties.setdefault("columns", [])}
    properties["semantic_model"] = {"enabled": True, "name": model["name"]}
    if config := model.get("config"):
        properties["config"] = {**properties.get("config", {}), **config}
    if clock := model.get("defaults", {}).get("agg_time_dimension"):
        properties["agg_time_dimension"] = clock
    if entity := model.get("primary_entity"):
        properties["primary_entity"] = entity
    derived: dict[str, list[Item]] = {"entities": [], "dimensions": []}
    for kind, key in (("entity", "entities"), ("dimension", "dimensions")):
        for item in model.get(key, ()):
            params = item.get("type_params", {})
            written = {**_words(item), "type": item["type"], **_pick(params, "validity_params")}
            if grain := params.get("time_granularity"):
                written["granularity"] = grain
            column = columns.get(item.get("expr") or item["name"])
            if column is not None and kind not in column and not written.get("validity_params"):
                if grain:  # which belongs to the column
                    column["granularity"] = written.pop("granularity")
                column[kind] = written
            else:
                derived[key].append({**written, "expr": item.get("expr") or item["name"]})
    if any(derived.values()):
        properties["derived_semantics"] = {key: items for key, items in derived.items() if items}
    measures = {measure["name"]: measure for measure in model.get("measures", ())}
    made = [_of_measure(measure, None, hidden=name not in metrics) for name, measure in measures.items()]
    made = [item for item in made if item["name"] not in metrics or item.get("hidden")]
    taken = set()
    for name, item in metrics.items():
        source = _measure_name(item)
        if item["type"] == "simple" and source in measures:
            taken.add(name)
            made += _simple(item, measures[source])
    properties["metrics"] = made
    return taken


def _simple(item: Item, measure: Item) -> list[Item]:
    """A simple metric. dbt-core 1.12 loses `fill_nulls_with`, so that is written as a formula."""
    written = item["type_params"]["measure"]
    settings = _pick(written, "join_to_timespine", "fill_nulls_with") if isinstance(written, dict) else {}
    filters = [*_filters(written if isinstance(written, dict) else {}), *_filters(item)]
    fill = settings.pop("fill_nulls_with", None)
    metric = {**_of_measure(measure, item, hidden=False), **settings, **({"filter": _one(filters)} if filters else {})}
    if fill is None:
        return [metric]
    inner = {**metric, "name": f"{item['name']}_unfilled", "hidden": True}
    inner = {key: value for key, value in inner.items() if key not in ("config", "label")}
    outer = {**_words(item), "type": "derived", "expr": f"coalesce({inner['name']}, {fill})"}
    return [inner, {**outer, "input_metrics": [{"name": inner["name"]}]}]


def _of_measure(measure: Item, metric: Item | None, *, hidden: bool) -> Item:
    params = measure.get("agg_params", {})
    percentile = _pick(params, "percentile")
    if params.get("use_discrete_percentile"):
        percentile["percentile_type"] = "discrete"
    own = _pick(measure, "agg_time_dimension", "non_additive_dimension")
    if inner := own.get("non_additive_dimension"):
        own["non_additive_dimension"] = {
            "name": inner["name"],
            "window_agg": inner["window_choice"],
            "group_by": inner["window_groupings"],
        }
    return {
        **_words(metric or measure),
        "type": "simple",
        "agg": measure["agg"],
        "expr": measure.get("expr", measure["name"]),
        **percentile,
        **own,
        **({"time_granularity": metric["time_granularity"]} if metric and metric.get("time_granularity") else {}),
        **({"hidden": True} if hidden else {}),
    }


def _metric(item: Item) -> Item:
    """A metric over others, or over measures, which are metrics now."""
    params = item["type_params"]
    written = {**_words(item), "type": item["type"], **_pick(item, "time_granularity", "filter")}
    match item["type"]:
        case "ratio":
            return {**written, "numerator": params["numerator"], "denominator": params["denominator"]}
        case "derived":
            return {**written, "expr": params["expr"], "input_metrics": params["metrics"]}
        case "cumulative":
            inner = params.get("cumulative_type_params", {})
            settings = {**_pick(params, "window", "grain_to_date"), **inner}
            return {**written, "input_metric": params["measure"], **settings}
        case _:
            inner = dict(params["conversion_type_params"])
            sides = {f"{side}_metric": inner.pop(f"{side}_measure") for side in ("base", "conversion")}
            return {**written, **inner, **sides}


def _measure_name(item: Item) -> str | None:
    measure = item.get("type_params", {}).get("measure")
    return measure["name"] if isinstance(measure, dict) else measure


def _words(item: Item) -> Item:
    return _pick(item, *WORDS)


def _pick(item: Item, *keys: str) -> Item:
    return {key: item[key] for key in keys if key in item}


def _filters(item: Item) -> list[str]:
    written = item.get("filter") or []
    return [written] if isinstance(written, str) else list(written)


def _one(filters: list[str]) -> str | list[str]:
    return filters[0] if len(filters) == 1 else filters
