"""Our reading of each real manifest against MetricFlow's own.

Needs GEMEL_METRICFLOW_PYTHON: a Python that has dbt-metricflow.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from gemel.dbt.semantic.reading import read_manifest
from gemel.spec.metrics import Conversion, Cumulative, Derived, Measure, Metric, MetricInput, Ratio, Simple
from gemel.spec.time import Window

HERE = Path(__file__).parent
PYTHON = os.environ.get("GEMEL_METRICFLOW_PYTHON")

pytestmark = pytest.mark.skipif(not PYTHON, reason="GEMEL_METRICFLOW_PYTHON names no Python that has MetricFlow")


@pytest.fixture(
    params=sorted((HERE.parent / "worlds").glob("manifests/*.semantic.json")),
    ids=lambda file: file.name.split(".semantic")[0],
)
def both(request):
    """One manifest, as we read it and as MetricFlow does."""
    text = request.param.read_text()
    command = [PYTHON, str(HERE / "metricflow_transforms.py")]
    ran = subprocess.run(command, input=text, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return read_manifest(json.loads(text)), json.loads(ran.stdout)


def test_every_metric_means_what_metricflow_makes_of_it(both):
    ours, theirs = both
    mine = {metric.name: metric for metric in ours.metrics}
    others = {metric["name"]: metric for metric in theirs["metrics"]}
    times = {model["name"]: (model["defaults"] or {}).get("agg_time_dimension") for model in theirs["semantic_models"]}
    assert {name: our_metric(metric, mine) for name, metric in mine.items() if not metric.private} == {
        name: their_metric(metric, others, times) for name, metric in others.items() if not is_private(metric)
    }


def test_every_model_has_what_metricflow_finds_in_it(both):
    ours, theirs = both
    assert [
        (
            model.name,
            model.relation.name,
            model.primary_entity,
            model.default_time_dimension,
            [(e.name, e.type, e.expr) for e in model.entities],
            [(d.name, d.expr, d.grain, d.is_partition, d.validity) for d in model.dimensions],
        )
        for model in ours.models
    ] == [
        (
            model["name"],
            model["node_relation"]["alias"],
            model["primary_entity"],
            (model["defaults"] or {}).get("agg_time_dimension"),
            [(e["name"], e["type"], e["expr"] or e["name"]) for e in model["entities"]],
            [their_dimension(d) for d in model["dimensions"]],
        )
        for model in theirs["semantic_models"]
    ]


def our_metric(metric: Metric, mine: dict[str, Metric]) -> dict:
    def used(item: MetricInput) -> dict:
        inner = mine[item.name]
        return {
            "metric": our_metric(inner, mine) if inner.private else inner.name,
            "alias": item.alias,
            "filters": list(item.filters),
            "offset": our_window(item.offset_window),
            "to_grain": item.offset_to_grain,
        }

    common = {"type": metric.type, "filters": list(metric.filters), "grain": metric.time_granularity}
    match metric.definition:
        case Simple() as simple:
            own = {
                **our_aggregate(simple.measure),
                "fill": simple.fill_nulls_with,
                "spine": simple.join_to_timespine,
            }
        case Ratio(numerator, denominator):
            own = {"inputs": [used(numerator), used(denominator)]}
        case Derived(expr, inputs):
            own = {"expr": expr, "inputs": [used(item) for item in inputs]}
        case Cumulative() as cumulative:
            own = {
                "inputs": [used(cumulative.input)],
                "window": our_window(cumulative.window),
                "to_date": cumulative.grain_to_date,
                "period_agg": cumulative.period_agg,
            }
        case Conversion() as conversion:
            own = {
                "inputs": [used(conversion.base), used(conversion.conversion)],
                "window": our_window(conversion.window),
                "entity": conversion.entity,
                "calculation": conversion.calculation,
                "constants": [list(pair) for pair in conversion.constant_properties],
            }
    return common | own


def our_window(window: Window | None) -> str | None:
    return f"{window.count} {window.unit}" if window else None


def our_aggregate(measure: Measure) -> dict:
    """As MetricFlow spells it: a count is a sum of flags."""
    agg, expr, percentile, lasting = measure.agg, measure.expr, measure.percentile, measure.non_additive
    if measure.is_flag:
        expr = f"CASE WHEN {expr} THEN 1 ELSE 0 END"
    if agg == "count":
        agg, expr = "sum", expr if expr.strip() == "1" else f"CASE WHEN {expr} IS NOT NULL THEN 1 ELSE 0 END"
    return {
        "agg": agg,
        "expr": expr,
        "model": measure.model,
        "time": measure.time_dimension,
        "percentile": percentile and (percentile.fraction, percentile.discrete, percentile.approximate),
        "non_additive": lasting and (lasting.dimension, lasting.choice, list(lasting.groupings)),
    }


def their_metric(metric: dict, others: dict[str, dict], times: dict[str, str]) -> dict:
    params = metric["type_params"]

    def used(item: dict) -> dict:
        inner = others[item["name"]]
        return {
            "metric": their_metric(inner, others, times) if is_private(inner) else inner["name"],
            "alias": item["alias"] and item["alias"].lower(),
            "filters": texts(item["filter"]),
            "offset": window(item["offset_window"]),
            "to_grain": item["offset_to_grain"],
        }

    common = {"type": metric["type"], "filters": texts(metric["filter"]), "grain": metric["time_granularity"]}
    match metric["type"]:
        case "simple":
            own = {
                **their_aggregate(metric, times),
                "fill": params["fill_nulls_with"],
                "spine": params["join_to_timespine"],
            }
        case "ratio":
            own = {"inputs": [used(params["numerator"]), used(params["denominator"])]}
        case "derived":
            own = {"expr": params["expr"], "inputs": [used(item) for item in params["metrics"]]}
        case "cumulative":
            inner = params["cumulative_type_params"]
            own = {
                "inputs": [used(inner["metric"])],
                "window": window(inner["window"]),
                "to_date": inner["grain_to_date"],
                "period_agg": inner["period_agg"],
            }
        case "conversion":
            inner = params["conversion_type_params"]
            own = {
                "inputs": [used(inner["base_metric"]), used(inner["conversion_metric"])],
                "window": window(inner["window"]),
                "entity": inner["entity"],
                "calculation": inner["calculation"],
                "constants": [
                    [pair["base_property"], pair["conversion_property"]] for pair in inner["constant_properties"] or ()
                ],
            }
    return common | own


def their_aggregate(metric: dict, times: dict[str, str]) -> dict:
    params, agg = metric["type_params"], metric["type_params"]["metric_aggregation_params"]
    percentile, lasting = agg["agg_params"] or {}, agg["non_additive_dimension"]
    return {
        "agg": agg["agg"],
        "expr": params["expr"] or metric["name"],
        "model": agg["semantic_model"],
        "time": agg["agg_time_dimension"] or times[agg["semantic_model"]],
        "percentile": (
            # The Rust dbt writes 0.8999999761581421 for 0.9.
            round(percentile["percentile"], 7),
            percentile["use_discrete_percentile"],
            percentile["use_approximate_percentile"],
        )
        if agg["agg"] == "percentile"
        else None,
        "non_additive": lasting and (lasting["name"], lasting["window_choice"], lasting["window_groupings"]),
    }


def their_dimension(dimension: dict) -> tuple:
    params = dimension["type_params"] or {}
    validity = params.get("validity_params") or {}
    return (
        dimension["name"],
        dimension["expr"] or dimension["name"],
        # Without a grain, MetricFlow takes days, too.
        params.get("time_granularity", "day") if dimension["type"] == "time" else None,
        dimension["is_partition"],
        "start" if validity.get("is_start") else "end" if validity.get("is_end") else None,
    )


def is_private(metric: dict) -> bool:
    return bool(metric["type_params"]["is_private"])


def texts(written: dict | None) -> list[str]:
    return [one["where_sql_template"] for one in written["where_filters"]] if written else []


def window(written: dict | None) -> str | None:
    return f"{written['count']} {written['granularity']}" if written else None
