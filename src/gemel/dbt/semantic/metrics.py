"""Reads metrics of five types, written over measures (legacy YAML) or over columns (newer), into one form."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

from gemel.dbt.semantic.models import measure_of_metric, read_is_decimal
from gemel.dbt.semantic.state import Definitions
from gemel.errors import About, DefinitionError
from gemel.spec.fields import (
    Json,
    choice,
    expression,
    name_of,
    object_at,
    object_or_name,
    objects,
    optional_text,
    short_repr,
    text,
)
from gemel.spec.metrics import (
    Conversion,
    Cumulative,
    Derived,
    Measure,
    Metric,
    MetricDefinition,
    MetricInput,
    PeriodAgg,
    Ratio,
    Simple,
)
from gemel.spec.time import GRAINS, Window, parse_window, singular


def read_metrics(data: Json, definitions: Definitions) -> tuple[Metric, ...]:
    """The metrics as written, then those created by measures, then those that only stand for measure inputs."""
    created = _created_metrics(data, definitions)
    definitions.metric_names = {str(item.get("name")).lower() for item in objects(data, "metrics")}
    definitions.metric_names.update(metric.name for metric in created)
    written = _without_model_settings(data, definitions.read_each(data, "metrics", "metric", _metric))
    return _without_duplicates((*written, *created), definitions.private)


def _without_model_settings(data: Json, metrics: tuple[Metric, ...]) -> tuple[Metric, ...]:
    """The metrics without their semantic model's `gemel` settings, such as `wide_view`.

    dbt gives a metric that it creates from a measure the whole meta of the semantic model, and its manifest does not
    mark such metrics.
    """
    of_models = {
        str(measure.get("name")).lower(): (object_at(model, "config") or {}).get("meta")
        for model in objects(data, "semantic_models")
        for measure in objects(model, "measures")
    }
    return tuple(
        replace(metric, meta={key: value for key, value in metric.meta.items() if key != "gemel"})
        if metric.meta and of_models.get(metric.name) == metric.meta
        else metric
        for metric in metrics
    )


def _without_duplicates(metrics: tuple[Metric, ...], private: dict[str, Metric]) -> tuple[Metric, ...]:
    """The metrics with each measure input replaced by the metric that is written over just that measure, if any.

    MetricFlow does the same. The legacy YAML's `measure: revenue` then means the newer `input_metric: revenue`.
    """
    written: dict[MetricDefinition, str] = {}
    for metric in metrics:
        if not metric.filters and metric.time_granularity is None:
            written.setdefault(metric.definition, metric.name)
    same = {name: written[each.definition] for name, each in private.items() if each.definition in written}

    def public(used: MetricInput) -> MetricInput:
        return replace(used, name=same.get(used.name, used.name))

    def over_public(metric: Metric) -> Metric:
        match metric.definition:
            case Cumulative() as cumulative:
                return replace(metric, definition=replace(cumulative, input=public(cumulative.input)))
            case Conversion(base=base, conversion=conversion) as whole:
                sides = replace(whole, base=public(base), conversion=public(conversion))
                return replace(metric, definition=sides)
            case _:
                return metric

    rest = (metric for name, metric in private.items() if name not in same)
    return (*map(over_public, metrics), *rest)


def _created_metrics(data: Json, definitions: Definitions) -> list[Metric]:
    """The metrics of measures with `create_metric`, unless a metric of that name is written.

    dbt adds most of these to the manifest itself.
    """
    types = {str(item.get("name")).lower(): item.get("type") for item in objects(data, "metrics")}
    created = []
    for model in objects(data, "semantic_models"):
        for item in objects(model, "measures"):
            measure = definitions.measures.get(str(item.get("name")).lower()) if item.get("create_metric") else None
            if measure is None:
                continue
            if measure.name not in types:
                created.append(
                    Metric(measure.name, Simple(measure), label=measure.label, description=measure.description)
                )
            elif types[measure.name] != "simple":
                definitions.refuse(
                    "G125",
                    f"measure {measure.name!r} (create_metric) has the name of a {types[measure.name]} metric",
                    About("metric", measure.name),
                )
    return created


def _metric(item: Json, definitions: Definitions) -> Metric:
    params = object_at(item, "type_params") or {}
    kind = choice(item, "type", tuple(_DEFINITIONS))
    measure_input = object_or_name(params, "measure") if kind == "simple" else None
    config = object_at(item, "config") or {}
    granularity = optional_text(item, "time_granularity")
    return Metric(
        name=name_of(item),
        definition=_DEFINITIONS[kind](item, params, definitions),
        filters=read_filters((measure_input or {}).get("filter")) + read_filters(item.get("filter")),
        time_granularity=granularity.lower() if granularity else None,
        private=bool(params.get("is_private")),
        label=optional_text(item, "label"),
        description=optional_text(item, "description"),
        meta=object_at(config, "meta") or {},
        is_decimal=read_is_decimal(item),
    )


def _simple(item: Json, params: Json, definitions: Definitions) -> Simple:
    measure_input = object_or_name(params, "measure")
    aggregation = object_at(params, "metric_aggregation_params")
    if measure_input is not None:
        measure = definitions.measure(name_of(measure_input))
    elif aggregation is not None:
        measure = measure_of_metric(item, aggregation, definitions)
    else:
        raise DefinitionError("G121", f"metric {name_of(item)!r} is simple: it needs a measure or an aggregation")
    return _simple_over(measure, measure_input or {}, params)


def _simple_over(measure: Measure, *places: Json) -> Simple:
    """A simple metric. `fill_nulls_with` and `join_to_timespine` belong to the measure input or the metric."""
    fills = [place["fill_nulls_with"] for place in places if place.get("fill_nulls_with") is not None]
    if fills and (isinstance(fills[0], bool) or not isinstance(fills[0], int)):
        raise DefinitionError("G121", f"fill_nulls_with must be a whole number, not {short_repr(fills[0])}")
    return Simple(
        measure,
        fill_nulls_with=fills[0] if fills else None,
        join_to_timespine=any(place.get("join_to_timespine") for place in places),
    )


def _ratio(item: Json, params: Json, definitions: Definitions) -> Ratio:
    sides = [object_or_name(params, side) for side in ("numerator", "denominator")]
    if sides[0] is None or sides[1] is None:
        raise DefinitionError("G121", f"metric {name_of(item)!r} is a ratio: it needs a numerator and a denominator")
    return Ratio(_metric_input(sides[0], definitions), _metric_input(sides[1], definitions))


def _derived(item: Json, params: Json, definitions: Definitions) -> Derived:
    expr = expression(params)
    inputs = tuple(
        _metric_input({"name": entry} if isinstance(entry, str) else entry, definitions)
        for entry in _list_at(params, "metrics")
    )
    if expr is None or not inputs:
        raise DefinitionError("G121", f"metric {name_of(item)!r} is derived: it needs an expr and input metrics")
    handles: dict[str, MetricInput] = {}
    for used in inputs:
        if handles.setdefault(used.handle, used) != used:
            raise DefinitionError(
                "G125",
                f"two different inputs of metric {name_of(item)!r} are named {used.handle!r}",
                hint="give one of them an alias, and use it in the expr",
            )
    return Derived(expr, inputs)


def _list_at(params: Json, key: str) -> list[object]:
    values = params.get(key) or []
    if not isinstance(values, list):
        raise DefinitionError("G121", f"{key} must be a list, not {short_repr(values)}")
    return values


def _cumulative(item: Json, params: Json, definitions: Definitions) -> Cumulative:
    nested = object_at(params, "cumulative_type_params") or {}
    window = _window(nested.get("window") or params.get("window"), GRAINS)
    grain_to_date = _grain(nested.get("grain_to_date") or params.get("grain_to_date"))
    if window and grain_to_date:
        raise DefinitionError(
            "G129",
            f"metric {name_of(item)!r} has a window and a grain_to_date",
            hint="keep one: a window reaches back from each day, grain_to_date to the start of the period",
        )
    metric = object_or_name(nested, "metric") or object_or_name(params, "metric")
    return Cumulative(
        input=_input_of(metric, object_or_name(params, "measure"), item, "a metric to accumulate", definitions),
        window=window,
        grain_to_date=grain_to_date,
        period_agg=cast(PeriodAgg, choice(nested, "period_agg", ("first", "last", "average"), default="first")),
    )


def _conversion(item: Json, params: Json, definitions: Definitions) -> Conversion:
    nested = object_at(params, "conversion_type_params")
    if nested is None:
        raise DefinitionError("G121", f"metric {name_of(item)!r} is a conversion: it needs conversion_type_params")
    sides = [
        _input_of(
            object_or_name(nested, f"{side}_metric"),
            object_or_name(nested, f"{side}_measure"),
            item,
            f"a {side}_metric or {side}_measure",
            definitions,
        )
        for side in ("base", "conversion")
    ]
    calculation = choice(nested, "calculation", ("conversions", "conversion_rate"), default="conversion_rate")
    return Conversion(
        base=sides[0],
        conversion=sides[1],
        entity=text(nested, "entity").lower(),
        calculation="conversions" if calculation == "conversions" else "conversion_rate",
        window=_window(nested.get("window"), GRAINS),
        constant_properties=tuple(
            (text(pair, "base_property").lower(), text(pair, "conversion_property").lower())
            for pair in objects(nested, "constant_properties")
        ),
    )


_DEFINITIONS: dict[str, Callable[[Json, Json, Definitions], MetricDefinition]] = {
    "simple": _simple,
    "ratio": _ratio,
    "derived": _derived,
    "cumulative": _cumulative,
    "conversion": _conversion,
}


def _input_of(
    metric: Json | None, measure: Json | None, item: Json, wanted: str, definitions: Definitions
) -> MetricInput:
    if metric is not None:
        return _metric_input(metric, definitions)
    if measure is None:
        raise DefinitionError("G121", f"metric {name_of(item)!r} needs {wanted}")
    alias = optional_text(measure, "alias")
    return MetricInput(
        _private_metric(measure, definitions).name,
        alias=alias.lower() if alias else None,
        filters=read_filters(measure.get("filter")),
    )


def _private_metric(item: Json, definitions: Definitions) -> Metric:
    """The simple metric that stands for a measure input; equal inputs share one.

    Its name starts with an underscore and contains double underscores, which dbt allows in no name.
    """
    simple = _simple_over(definitions.measure(name_of(item)), item)
    name = f"_{simple.measure.name}"
    if simple.fill_nulls_with is not None:
        name += f"__fill_{str(simple.fill_nulls_with).replace('-', 'minus_')}"
    if simple.join_to_timespine:
        name += "__spine"
    return definitions.private.setdefault(name, Metric(name, simple, private=True))


def _metric_input(item: object, definitions: Definitions) -> MetricInput:
    if not isinstance(item, dict):
        raise DefinitionError("G121", f"an input metric must be a name or an object, not {short_repr(item)}")
    name = definitions.check_metric(name_of(item))
    alias = optional_text(item, "alias")
    return MetricInput(
        name,
        alias=alias.lower() if alias else None,
        filters=read_filters(item.get("filter")),
        offset_window=_window(item.get("offset_window"), definitions.grains),
        offset_to_grain=_grain(item.get("offset_to_grain")),
    )


def _window(value: object, grains: tuple[str, ...]) -> Window | None:
    """A window from `"7 days"` or dbt's `{"count": 7, "granularity": "days"}`, with its unit in the singular: one of
    `grains`, among which only those of an offset have custom ones."""
    window: Window | None
    match value:
        case None:
            return None
        case str() if len(value) < 300:
            window = parse_window(value)
        case {"count": int() as count, "granularity": str() as unit}:
            window = Window(count, singular(unit.lower()))
        case _:
            window = None
    if window is not None and window.unit not in grains and window.unit.removesuffix("s") in grains:
        window = Window(window.count, window.unit.removesuffix("s"))
    if window is None or window.count < 1 or window.unit not in grains:
        raise DefinitionError(
            "G123",
            f"the window {short_repr(value)} is not a count and a grain",
            hint=f"write `7 days`, for example; the grains are {', '.join(grains)}",
        )
    return window


def _grain(value: object) -> str | None:
    """A standard grain: the periods of a custom one have no start that SQL can compute."""
    return choice({"grain": value}, "grain", GRAINS) if value is not None else None


def read_filters(value: object) -> tuple[str, ...]:
    """Filters from None, a text, a list or dbt's `{"where_filters": [{"where_sql_template": ...}]}`, at any depth."""
    match value:
        case None:
            return ()
        case str():
            return (value,)
        case {"where_sql_template": str() as text}:
            return (text,)
        case {"where_filters": list() as filters}:
            return read_filters(filters)
        case list():
            return tuple(text for each in value for text in read_filters(each))
        case _:
            raise DefinitionError("G121", f"a filter must be a text or a list of texts, not {short_repr(value)}")
