"""Semantic models: tables, their entities and dimensions, and the measures of the legacy YAML."""

import struct
from typing import cast

from gemel.dbt.relations import split_name
from gemel.dbt.semantic.state import Definitions
from gemel.errors import About, DefinitionError
from gemel.spec.columns import text_or_column
from gemel.spec.fields import (
    Json,
    choice,
    expression,
    name_of,
    object_at,
    objects,
    optional_text,
    short_repr,
    text,
    texts,
)
from gemel.spec.manifest import Dimension, Entity, EntityType, Relation, SemanticModel
from gemel.spec.metrics import Aggregation, Measure, NonAdditive, Percentile
from gemel.spec.time import GRAINS


def read_models(data: Json, definitions: Definitions) -> tuple[SemanticModel, ...]:
    """The semantic models. Their measures are added to `definitions`, where metrics look them up."""
    models = definitions.read_each(data, "semantic_models", "semantic_model", _semantic_model)
    for item in objects(data, "semantic_models"):
        _read_measures(item, definitions)
    return models


def _semantic_model(item: Json, definitions: Definitions) -> SemanticModel:
    name = name_of(item)
    about = About("semantic_model", name)
    defaults = object_at(item, "defaults") or {}
    primary = optional_text(item, "primary_entity")
    default_time = optional_text(defaults, "agg_time_dimension")
    model = SemanticModel(
        name=name,
        relation=read_relation(object_at(item, "node_relation") or {}, of=f"semantic model {name!r}"),
        primary_entity=primary.lower() if primary else None,
        entities=definitions.read_each(item, "entities", "entity", _entity, inside=about),
        dimensions=definitions.read_each(item, "dimensions", "dimension", _dimension, inside=about),
        default_time_dimension=default_time.lower() if default_time else None,
        label=optional_text(item, "label"),
        description=optional_text(item, "description"),
    )
    definitions.models[name] = model
    return model


def _entity(item: Json, definitions: Definitions) -> Entity:
    return Entity(
        name=name_of(item),
        type=cast(EntityType, choice(item, "type", ("primary", "unique", "foreign", "natural"))),
        expr=text_or_column(expression(item), name_of(item)),
        label=optional_text(item, "label"),
        description=optional_text(item, "description"),
    )


def _dimension(item: Json, definitions: Definitions) -> Dimension:
    params = object_at(item, "type_params") or {}
    validity = object_at(params, "validity_params") or {}
    is_time = choice(item, "type", ("categorical", "time")) == "time"
    return Dimension(
        name=name_of(item),
        expr=text_or_column(expression(item), name_of(item)),
        grain=choice(params, "time_granularity", GRAINS, default="day") if is_time else None,
        is_partition=bool(item.get("is_partition")),
        validity="start" if validity.get("is_start") else "end" if validity.get("is_end") else None,
        label=optional_text(item, "label"),
        description=optional_text(item, "description"),
    )


def read_relation(item: Json, *, of: str) -> Relation:
    alias = optional_text(item, "alias")
    full_name = optional_text(item, "relation_name")
    if alias:
        return Relation(
            alias,
            schema=optional_text(item, "schema_name"),
            database=optional_text(item, "database"),
            written=split_name(full_name) if full_name else (),
        )
    if full_name is None:
        raise DefinitionError("G121", f"{of} must name the table that it reads (node_relation)")
    return parse_relation(full_name)


def parse_relation(full_name: str) -> Relation:
    """`db.schema.name`, each part plain or in quotes of any engine: `"a.b"."c"`, `` `a`.`b` ``."""
    parts = split_name(full_name)
    *front, name = [text for text, _ in parts[-3:]]
    schema, database = front[-1] if front else None, front[0] if len(front) == 2 else None
    return Relation(name, schema, database, written=parts)


def _read_measures(item: Json, definitions: Definitions) -> None:
    model_name = item.get("name")
    model = definitions.models.get(model_name.lower()) if isinstance(model_name, str) else None
    written = (measure.get("name") for measure in objects(item, "measures"))
    names = {name.lower() for name in written if isinstance(name, str)}
    for name in sorted(names & definitions.measures.keys()):
        definitions.refuse(
            "G125",
            f"two measures are named {name!r}: a measure's name must be unique in the whole project",
            About("semantic_model", str(model_name).lower(), name),
        )
    definitions.measures.update(dict.fromkeys(names))
    if model is None:
        return
    about = About("semantic_model", model.name)

    def read(measure: Json, _: Definitions) -> Measure:
        return read_measure(measure, measure, model)

    for measure in definitions.read_each(item, "measures", "measure", read, inside=about):
        definitions.measures[measure.name] = measure


def measure_of_metric(item: Json, aggregation: Json, definitions: Definitions) -> Measure:
    """The measure of a simple metric that is written over columns, under the metric's name."""
    params = object_at(item, "type_params") or {}
    model = definitions.model(text(aggregation, "semantic_model").lower())
    return read_measure({"name": item.get("name"), "expr": params.get("expr")}, aggregation, model)


def read_measure(item: Json, params: Json, model: SemanticModel) -> Measure:
    """A legacy measure (`item` and `params` are the same), or a simple metric with its aggregation parameters."""
    name = name_of(item)
    expr = expression(item) or expression(params)
    agg = choice(params, "agg", _AGGREGATIONS)
    is_flag = agg == "sum_boolean"
    percentile = _percentile(name, agg, object_at(params, "agg_params") or {})
    match agg:
        case "count" if expr is None:
            raise DefinitionError("G126", f"count {name!r} has no expr", hint="to count all rows, write `expr: 1`")
        case "sum_boolean":
            agg = "sum"
        case "median":
            agg = "percentile"
        case "sum" if expr is not None and expr.strip() == "1":
            agg = "count"
    time_dimension = optional_text(params, "agg_time_dimension") or model.default_time_dimension
    if time_dimension is None:
        raise DefinitionError(
            "G128",
            f"{name!r} has no time dimension to be aggregated by",
            hint=f"set `agg_time_dimension`, on it or in the defaults of semantic model {model.name!r}",
        )
    return Measure(
        name=name,
        model=model.name,
        agg=cast(Aggregation, agg),
        expr=text_or_column(expr, name),
        is_flag=is_flag,
        time_dimension=time_dimension.lower(),
        percentile=percentile,
        non_additive=_non_additive(object_at(params, "non_additive_dimension")),
        label=optional_text(item, "label"),
        description=optional_text(item, "description"),
        is_decimal=read_is_decimal(item),
    )


def read_is_decimal(item: Json) -> bool:
    """Whether a measure or metric keeps all digits: `config: meta: gemel: {type: decimal}`."""
    settings: object = item
    for key in ("config", "meta", "gemel"):
        settings = settings.get(key) if isinstance(settings, dict) else None
    if not isinstance(settings, dict) or "type" not in settings:
        return False
    return choice(settings, "type", ("decimal",)) == "decimal"


_AGGREGATIONS = (
    "sum",
    "min",
    "max",
    "count",
    "count_distinct",
    "average",
    "percentile",
    "median",
    "sum_boolean",
)


def _percentile(name: str, agg: str, params: Json) -> Percentile | None:
    fraction = params.get("percentile")
    discrete = bool(params.get("use_discrete_percentile"))
    if agg == "median":
        if fraction not in (None, 0.5) or discrete:
            raise DefinitionError(
                "G127",
                f"{name!r} is a median, but its agg_params request another percentile",
                hint="remove them",
            )
        fraction = 0.5
    elif agg != "percentile":
        return None
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 <= fraction <= 1:
        raise DefinitionError(
            "G127",
            f"percentile {name!r} must be a number between 0 and 1, not {short_repr(fraction)}",
            hint="for the 90th percentile: `agg_params: {percentile: 0.9}`",
        )
    return Percentile(
        _restore_decimals(float(fraction)),
        discrete=discrete,
        approximate=bool(params.get("use_approximate_percentile")),
    )


def _restore_decimals(fraction: float) -> float:
    """0.8999999761581421 -> 0.9: the Rust dbt stores 32 bits, which would select another row out of a hundred."""
    (narrow,) = struct.unpack("f", struct.pack("f", fraction))
    return float(f"{fraction:.7g}") if narrow == fraction else fraction


def _non_additive(item: Json | None) -> NonAdditive | None:
    if item is None:
        return None
    boundary = choice(item, "window_choice", ("min", "max"), default="min")
    groupings = tuple(grouping.lower() for grouping in texts(item, "window_groupings"))
    return NonAdditive(name_of(item), "min" if boundary == "min" else "max", groupings)
