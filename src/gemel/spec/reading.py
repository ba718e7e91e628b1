"""dbt's semantic_manifest.json to a Manifest: legacy and newer YAML, old and new dbt, one form.

dbt writes the definitions nearly as the user wrote them. The rewriting that MetricFlow does before it starts
(its `metricflow_semantic_interfaces.transformations`) is done here, in one pass, so that nothing later needs
to know that there ever were two specs. Keys that we do not know are passed over, and no version is looked at.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar, cast

from gemel.errors import About, DefinitionError, GemelError, Problems, ProjectError, did_you_mean
from gemel.spec.fields import (
    Json,
    choice,
    expression,
    name_of,
    object_at,
    object_or_name,
    objects,
    optional_text,
    plural,
    shown,
    text,
    texts,
)
from gemel.spec.manifest import (
    Aggregation,
    Conversion,
    Cumulative,
    Derived,
    Dimension,
    Entity,
    EntityType,
    Export,
    Manifest,
    Measure,
    Metric,
    MetricDefinition,
    MetricInput,
    NonAdditive,
    Percentile,
    PeriodAgg,
    Ratio,
    Relation,
    SavedQuery,
    SemanticModel,
    Simple,
    TimeSpine,
)
from gemel.spec.time import GRAINS, Window, parse_window

T = TypeVar("T")


def read_manifest(data: object) -> Manifest:
    """The content of `target/semantic_manifest.json`, already loaded, as a Manifest.

    Raises ProjectError (G602) where it is no semantic manifest at all, and Problems with every DefinitionError
    (G101, G121-G129) where it is one that cannot be meant.
    """
    if not isinstance(data, dict) or not isinstance(data.get("semantic_models"), list):
        raise ProjectError(
            "G602",
            "this is not a semantic manifest: it has no list of semantic_models",
            hint="give the semantic_manifest.json that `dbt parse` writes into target/",
        )
    reading = _Reading()
    spines = tuple(_time_spines(data, reading))
    reading.grains = (*GRAINS, *(name for spine in spines for name, _ in spine.custom))
    models = reading.each(data, "semantic_models", "semantic_model", _semantic_model)
    for item in objects(data, "semantic_models"):
        _read_measures(item, reading)
    metrics = _metrics(data, reading)
    saved_queries = reading.each(data, "saved_queries", "saved_query", _saved_query)
    if reading.problems:
        raise Problems(reading.problems)
    return Manifest(models, metrics, saved_queries, spines)


@dataclass(slots=True)
class _Reading:
    """What is known so far while one manifest is read. A name with None is there, but was refused already."""

    problems: list[GemelError] = field(default_factory=list)
    grains: tuple[str, ...] = GRAINS
    models: dict[str, SemanticModel] = field(default_factory=dict)
    measures: dict[str, Measure | None] = field(default_factory=dict)
    metric_names: set[str] = field(default_factory=set)
    private: dict[str, Metric] = field(default_factory=dict)

    def each(
        self,
        parent: Json,
        key: str,
        kind: str,
        read: "Callable[[Json, _Reading], T]",
        *,
        inside: About | None = None,
    ) -> tuple[T, ...]:
        """Every item under `key` that can be read; the others become problems."""
        results: list[T] = []
        seen: set[str] = set()
        items = parent.get(key) or []
        if not isinstance(items, list):
            self.refuse("G121", f"{key} must be a list, and is {shown(items)}", inside)
            return ()
        for item in items:
            name = item.get("name") if isinstance(item, dict) else None
            if not isinstance(name, str) or not name.strip():
                self.refuse("G121", f"a {kind.replace('_', ' ')} has no name", inside)
                continue
            about = About(inside.kind, inside.name, name.lower()) if inside else About(kind, name.lower())
            if name.lower() in seen:
                self.refuse("G125", f"two {plural(kind)} are named {name.lower()!r}", about)
                continue
            seen.add(name.lower())
            try:
                results.append(read(item, self))
            except _Known:
                continue
            except DefinitionError as error:
                error.about = about
                self.problems.append(error)
        return tuple(results)

    def refuse(self, code: str, message: str, about: About | None) -> None:
        self.problems.append(DefinitionError(code, message, about=about))

    def measure(self, name: str) -> Measure:
        if name not in self.measures:
            raise DefinitionError("G101", f"no measure is named {name!r}", hint=did_you_mean(name, self.measures))
        measure = self.measures[name]
        if measure is None:
            raise _Known
        return measure


class _Known(Exception):
    """The cause is among the problems already; saying it again would not help anyone."""


# --- semantic models ------------------------------------------------------------------------------------------


def _semantic_model(item: Json, reading: _Reading) -> SemanticModel:
    name = name_of(item)
    about = About("semantic_model", name)
    defaults = object_at(item, "defaults") or {}
    primary = optional_text(item, "primary_entity")
    default_time = optional_text(defaults, "agg_time_dimension")
    model = SemanticModel(
        name=name,
        relation=_relation(object_at(item, "node_relation") or {}, of=f"semantic model {name!r}"),
        primary_entity=primary.lower() if primary else None,
        entities=reading.each(item, "entities", "entity", _entity, inside=about),
        dimensions=reading.each(item, "dimensions", "dimension", _dimension, inside=about),
        default_time_dimension=default_time.lower() if default_time else None,
        label=optional_text(item, "label"),
        description=optional_text(item, "description"),
    )
    reading.models[name] = model
    return model


def _entity(item: Json, reading: _Reading) -> Entity:
    return Entity(
        name=name_of(item),
        type=cast(EntityType, choice(item, "type", ("primary", "unique", "foreign", "natural"))),
        expr=expression(item) or name_of(item),
        label=optional_text(item, "label"),
        description=optional_text(item, "description"),
    )


def _dimension(item: Json, reading: _Reading) -> Dimension:
    params = object_at(item, "type_params") or {}
    validity = object_at(params, "validity_params") or {}
    is_time = choice(item, "type", ("categorical", "time")) == "time"
    return Dimension(
        name=name_of(item),
        expr=expression(item) or name_of(item),
        grain=choice(params, "time_granularity", GRAINS, default="day") if is_time else None,
        is_partition=bool(item.get("is_partition")),
        validity="start" if validity.get("is_start") else "end" if validity.get("is_end") else None,
        label=optional_text(item, "label"),
        description=optional_text(item, "description"),
    )


def _relation(item: Json, *, of: str) -> Relation:
    alias = optional_text(item, "alias")
    if alias:
        return Relation(
            alias,
            schema=optional_text(item, "schema_name"),
            database=optional_text(item, "database"),
            node=alias,
        )
    full_name = optional_text(item, "relation_name")
    if full_name is None:
        raise DefinitionError("G121", f"{of} does not say which table it reads (node_relation)")
    return _parse_relation(full_name)


def _parse_relation(full_name: str) -> Relation:
    """`db.schema.name`, each part plain or in quotes of any engine: `"a.b"."c"`, `` `a`.`b` ``."""
    parts = [""]
    closing = ""
    for char in full_name.strip():
        if closing:
            closing = "" if char == closing else closing
            parts[-1] += char if closing else ""
        elif char in '"`[':
            closing = "]" if char == "[" else char
        elif char == ".":
            parts.append("")
        else:
            parts[-1] += char
    *front, name = parts[-3:]
    return Relation(
        name, schema=front[-1] if front else None, database=front[0] if len(front) == 2 else None, node=name
    )


# --- measures -------------------------------------------------------------------------------------------------


def _read_measures(item: Json, reading: _Reading) -> None:
    model_name = item.get("name")
    model = reading.models.get(model_name.lower()) if isinstance(model_name, str) else None
    names = {str(measure.get("name")).lower() for measure in objects(item, "measures")}
    for name in names & reading.measures.keys():
        reading.refuse(
            "G125",
            f"two measures are named {name!r}: a measure's name must be unique in the whole project",
            About("semantic_model", str(model_name).lower(), name),
        )
    reading.measures.update(dict.fromkeys(names))
    if model is None:
        return
    about = About("semantic_model", model.name)

    def read(measure: Json, _: _Reading) -> Measure:
        return _measure(measure, measure, model)

    for measure in reading.each(item, "measures", "measure", read, inside=about):
        reading.measures[measure.name] = measure


def _measure(item: Json, params: Json, model: SemanticModel) -> Measure:
    """A legacy measure (`item` and `params` are one), or a simple metric with its aggregation parameters."""
    name = name_of(item)
    expr = expression(item) or expression(params)
    agg = choice(params, "agg", _AGGREGATIONS)
    percentile = _percentile(name, agg, object_at(params, "agg_params") or {})
    match agg:
        case "count" if expr is None:
            raise DefinitionError("G126", f"count {name!r} does not say of what", hint="to count all rows: `expr: 1`")
        case "sum_boolean":
            agg, expr = "sum", f"CASE WHEN {expr or name} THEN 1 ELSE 0 END"
        case "median":
            agg = "percentile"
        case "sum" if expr is not None and expr.strip() == "1":
            agg = "count"
    time_dimension = optional_text(params, "agg_time_dimension") or model.default_time_dimension
    if time_dimension is None:
        raise DefinitionError(
            "G128",
            f"{name!r} has no time to be aggregated by",
            hint=f"set `agg_time_dimension`, there or in the defaults of semantic model {model.name!r}",
        )
    return Measure(
        name=name,
        model=model.name,
        agg=cast(Aggregation, agg),
        expr=expr or name,
        time_dimension=time_dimension.lower(),
        percentile=percentile,
        non_additive=_non_additive(object_at(params, "non_additive_dimension")),
        label=optional_text(item, "label"),
        description=optional_text(item, "description"),
    )


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
                f"{name!r} is a median, and its agg_params ask for another percentile",
                hint="remove them",
            )
        fraction = 0.5
    elif agg != "percentile":
        return None
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 <= fraction <= 1:
        raise DefinitionError(
            "G127",
            f"percentile {name!r} needs a number between 0 and 1, and has {shown(fraction)}",
            hint="for the 90th percentile: `agg_params: {percentile: 0.9}`",
        )
    return Percentile(float(fraction), discrete=discrete, approximate=bool(params.get("use_approximate_percentile")))


def _non_additive(item: Json | None) -> NonAdditive | None:
    if item is None:
        return None
    boundary = choice(item, "window_choice", ("min", "max"), default="min")
    groupings = tuple(str(grouping).lower() for grouping in item.get("window_groupings") or ())
    return NonAdditive(name_of(item), "min" if boundary == "min" else "max", groupings)


# --- metrics --------------------------------------------------------------------------------------------------


def _metrics(data: Json, reading: _Reading) -> tuple[Metric, ...]:
    created = _created_metrics(data, reading)
    reading.metric_names = {str(item.get("name")).lower() for item in objects(data, "metrics")}
    reading.metric_names.update(metric.name for metric in created)
    written = reading.each(data, "metrics", "metric", _metric)
    return (*written, *created, *reading.private.values())


def _created_metrics(data: Json, reading: _Reading) -> list[Metric]:
    """A measure with `create_metric` is a metric too, unless one of that name is written out.

    dbt makes most of these itself, so that they are here already.
    """
    types = {str(item.get("name")).lower(): item.get("type") for item in objects(data, "metrics")}
    created = []
    for model in objects(data, "semantic_models"):
        for item in objects(model, "measures"):
            measure = reading.measures.get(str(item.get("name")).lower()) if item.get("create_metric") else None
            if measure is None:
                continue
            if measure.name not in types:
                created.append(
                    Metric(measure.name, Simple(measure), label=measure.label, description=measure.description)
                )
            elif types[measure.name] != "simple":
                reading.refuse(
                    "G125",
                    f"measure {measure.name!r} (create_metric) has the name of a {types[measure.name]} metric",
                    About("metric", measure.name),
                )
    return created


def _metric(item: Json, reading: _Reading) -> Metric:
    params = object_at(item, "type_params") or {}
    kind = choice(item, "type", tuple(_DEFINITIONS))
    measure_input = object_or_name(params, "measure") if kind == "simple" else None
    config = object_at(item, "config") or {}
    granularity = optional_text(item, "time_granularity")
    return Metric(
        name=name_of(item),
        definition=_DEFINITIONS[kind](item, params, reading),
        filters=_filters((measure_input or {}).get("filter")) + _filters(item.get("filter")),
        time_granularity=granularity.lower() if granularity else None,
        private=bool(params.get("is_private")),
        label=optional_text(item, "label"),
        description=optional_text(item, "description"),
        meta=object_at(config, "meta") or {},
    )


def _simple(item: Json, params: Json, reading: _Reading) -> Simple:
    measure_input = object_or_name(params, "measure")
    aggregation = object_at(params, "metric_aggregation_params")
    if measure_input is not None:
        measure = reading.measure(name_of(measure_input))
    elif aggregation is not None:
        measure = _measure({**item, "expr": params.get("expr")}, aggregation, _model_of(aggregation, reading))
    else:
        raise DefinitionError(
            "G121", f"metric {name_of(item)!r} is simple, and says neither a measure nor an aggregation"
        )
    return _simple_over(measure, measure_input or {}, params)


def _simple_over(measure: Measure, *places: Json) -> Simple:
    """`fill_nulls_with` and `join_to_timespine` stand on the measure input (legacy) or the metric (newer)."""
    fills = [place["fill_nulls_with"] for place in places if place.get("fill_nulls_with") is not None]
    if fills and not isinstance(fills[0], int):
        raise DefinitionError("G121", f"fill_nulls_with must be a whole number, and is {shown(fills[0])}")
    return Simple(
        measure,
        fill_nulls_with=fills[0] if fills else None,
        join_to_timespine=any(place.get("join_to_timespine") for place in places),
    )


def _model_of(aggregation: Json, reading: _Reading) -> SemanticModel:
    name = text(aggregation, "semantic_model").lower()
    if name not in reading.models:
        raise DefinitionError("G101", f"no semantic model is named {name!r}", hint=did_you_mean(name, reading.models))
    return reading.models[name]


def _ratio(item: Json, params: Json, reading: _Reading) -> Ratio:
    sides = [object_or_name(params, side) for side in ("numerator", "denominator")]
    if sides[0] is None or sides[1] is None:
        raise DefinitionError("G121", f"metric {name_of(item)!r} is a ratio: it needs a numerator and a denominator")
    return Ratio(_metric_input(sides[0], reading), _metric_input(sides[1], reading))


def _derived(item: Json, params: Json, reading: _Reading) -> Derived:
    expr = expression(params)
    inputs = tuple(
        _metric_input({"name": entry} if isinstance(entry, str) else entry, reading)
        for entry in params.get("metrics") or ()
    )
    if expr is None or not inputs:
        raise DefinitionError("G121", f"metric {name_of(item)!r} is derived: it needs an expr and metrics to put in")
    return Derived(expr, inputs)


def _cumulative(item: Json, params: Json, reading: _Reading) -> Cumulative:
    nested = object_at(params, "cumulative_type_params") or {}
    window = _window(nested.get("window") or params.get("window"), reading)
    grain_to_date = _grain(nested.get("grain_to_date") or params.get("grain_to_date"), reading)
    if window and grain_to_date:
        raise DefinitionError(
            "G129",
            f"metric {name_of(item)!r} has a window and a grain_to_date",
            hint="keep one: a window reaches back from each day, grain_to_date back to the period's start",
        )
    metric = object_or_name(nested, "metric") or object_or_name(params, "metric")
    return Cumulative(
        input=_input_of(metric, object_or_name(params, "measure"), item, "a metric to accumulate", reading),
        window=window,
        grain_to_date=grain_to_date,
        period_agg=cast(PeriodAgg, choice(nested, "period_agg", ("first", "last", "average"), default="first")),
    )


def _conversion(item: Json, params: Json, reading: _Reading) -> Conversion:
    nested = object_at(params, "conversion_type_params")
    if nested is None:
        raise DefinitionError("G121", f"metric {name_of(item)!r} is a conversion: it needs conversion_type_params")
    sides = [
        _input_of(
            object_or_name(nested, f"{side}_metric"),
            object_or_name(nested, f"{side}_measure"),
            item,
            f"a {side}_metric or {side}_measure",
            reading,
        )
        for side in ("base", "conversion")
    ]
    calculation = choice(nested, "calculation", ("conversions", "conversion_rate"), default="conversion_rate")
    return Conversion(
        base=sides[0],
        conversion=sides[1],
        entity=text(nested, "entity").lower(),
        calculation="conversions" if calculation == "conversions" else "conversion_rate",
        window=_window(nested.get("window"), reading),
        constant_properties=tuple(
            (text(pair, "base_property").lower(), text(pair, "conversion_property").lower())
            for pair in objects(nested, "constant_properties")
        ),
    )


_DEFINITIONS: dict[str, Callable[[Json, Json, _Reading], MetricDefinition]] = {
    "simple": _simple,
    "ratio": _ratio,
    "derived": _derived,
    "cumulative": _cumulative,
    "conversion": _conversion,
}


def _input_of(metric: Json | None, measure: Json | None, item: Json, wanted: str, reading: _Reading) -> MetricInput:
    if metric is not None:
        return _metric_input(metric, reading)
    if measure is None:
        raise DefinitionError("G121", f"metric {name_of(item)!r} needs {wanted}")
    alias = optional_text(measure, "alias")
    return MetricInput(
        _private_metric(measure, reading).name,
        alias=alias.lower() if alias else None,
        filters=_filters(measure.get("filter")),
    )


def _private_metric(item: Json, reading: _Reading) -> Metric:
    """The simple metric that a measure input stands for; equal inputs share one.

    Its name starts with an underscore and has double ones inside, which dbt accepts in no name.
    """
    simple = _simple_over(reading.measure(name_of(item)), item)
    name = f"_{simple.measure.name}"
    if simple.fill_nulls_with is not None:
        name += f"__fill_{str(simple.fill_nulls_with).replace('-', 'minus_')}"
    if simple.join_to_timespine:
        name += "__spine"
    return reading.private.setdefault(name, Metric(name, simple, private=True))


def _metric_input(item: object, reading: _Reading) -> MetricInput:
    if not isinstance(item, dict):
        raise DefinitionError("G121", f"an input metric must be a name or an object, and is {shown(item)}")
    name = name_of(item)
    if name not in reading.metric_names:
        raise DefinitionError("G101", f"no metric is named {name!r}", hint=did_you_mean(name, reading.metric_names))
    alias = optional_text(item, "alias")
    return MetricInput(
        name,
        alias=alias.lower() if alias else None,
        filters=_filters(item.get("filter")),
        offset_window=_window(item.get("offset_window"), reading),
        offset_to_grain=_grain(item.get("offset_to_grain"), reading),
    )


def _window(value: object, reading: _Reading) -> Window | None:
    """`"7 days"`, or the `{"count": 7, "granularity": "days"}` that dbt makes of it. Plurals go."""
    window: Window | None
    match value:
        case None:
            return None
        case str():
            window = parse_window(value)
        case {"count": int() as count, "granularity": str() as unit}:
            window = parse_window(f"{count} {unit}")
        case _:
            window = None
    if window is not None and window.unit not in reading.grains and window.unit.removesuffix("s") in reading.grains:
        window = Window(window.count, window.unit.removesuffix("s"))
    if window is None or window.count == 0 or window.unit not in reading.grains:
        raise DefinitionError(
            "G123",
            f"cannot read the window {shown(value)}",
            hint=f"write a count and a grain, as `7 days`; the grains are {', '.join(reading.grains)}",
        )
    return window


def _grain(value: object, reading: _Reading) -> str | None:
    return choice({"grain": value}, "grain", reading.grains) if value is not None else None


def _filters(value: object) -> tuple[str, ...]:
    """None, a text, a list, or dbt's `{"where_filters": [{"where_sql_template": ...}]}`, nested at will."""
    match value:
        case None:
            return ()
        case str():
            return (value,)
        case {"where_sql_template": str() as text}:
            return (text,)
        case {"where_filters": list() as filters}:
            return _filters(filters)
        case list():
            return tuple(text for each in value for text in _filters(each))
        case _:
            raise DefinitionError("G121", f"a filter must be a text or a list of texts, and is {shown(value)}")


# --- saved queries and time spines ----------------------------------------------------------------------------


def _saved_query(item: Json, reading: _Reading) -> SavedQuery:
    params = object_at(item, "query_params") or {}
    limit = params.get("limit")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int)):
        raise DefinitionError("G121", f"the limit of saved query {name_of(item)!r} must be a whole number")
    metrics = tuple(name.lower() for name in texts(params, "metrics"))
    for name in metrics:
        if name not in reading.metric_names:
            raise DefinitionError("G101", f"no metric is named {name!r}", hint=did_you_mean(name, reading.metric_names))
    about = About("saved_query", name_of(item))
    return SavedQuery(
        name=name_of(item),
        metrics=metrics,
        group_by=texts(params, "group_by"),
        where=_filters(params.get("where")),
        order_by=texts(params, "order_by"),
        limit=limit,
        exports=reading.each(item, "exports", "export", _export, inside=about),
        label=optional_text(item, "label"),
        description=optional_text(item, "description"),
    )


def _export(item: Json, reading: _Reading) -> Export:
    config = object_at(item, "config") or {}
    kind = choice(config, "export_as", ("table", "view"), default="table")
    return Export(
        name=text(item, "name"),
        kind="view" if kind == "view" else "table",
        schema=optional_text(config, "schema_name") or optional_text(config, "schema"),
        alias=optional_text(config, "alias"),
        database=optional_text(config, "database"),
    )


def _time_spines(data: Json, reading: _Reading) -> Iterable[TimeSpine]:
    """The spines, a legacy one only at a grain that no newer one has."""
    configuration = data.get("project_configuration")
    configuration = configuration if isinstance(configuration, dict) else {}
    taken: set[str] = set()
    for key, read in (("time_spines", _time_spine), ("time_spine_table_configurations", _legacy_time_spine)):
        for item in objects(configuration, key):
            relation = item.get("node_relation") or {}
            name = relation.get("alias") if isinstance(relation, dict) else None
            try:
                spine = read(item)
            except DefinitionError as error:
                error.about = About("time_spine", str(name or item.get("location")))
                reading.problems.append(error)
                continue
            if read is _time_spine or spine.grain not in taken:
                taken.add(spine.grain)
                yield spine


def _time_spine(item: Json) -> TimeSpine:
    column = object_at(item, "primary_column") or {}
    return TimeSpine(
        relation=_relation(object_at(item, "node_relation") or {}, of="a time spine"),
        column=text(column, "name"),
        grain=choice(column, "time_granularity", GRAINS),
        custom=tuple(
            (name_of(grain), optional_text(grain, "column_name") or text(grain, "name"))
            for grain in objects(item, "custom_granularities")
        ),
    )


def _legacy_time_spine(item: Json) -> TimeSpine:
    return TimeSpine(
        relation=_parse_relation(text(item, "location")),
        column=text(item, "column_name"),
        grain=choice(item, "grain", GRAINS),
    )
