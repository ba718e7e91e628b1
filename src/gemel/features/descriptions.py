"""Descriptions of features for people, if the view has none."""

from gemel.compiler.features.moments import find_ratio_input
from gemel.compiler.features.reach import find_window
from gemel.compiler.names.graph import Graph
from gemel.compiler.plan.distinct import Back
from gemel.spec.feature_views import DimensionFeature, Feature, MetricFeature
from gemel.spec.metrics import Metric
from gemel.spec.time import Window


def describe(graph: Graph, feature: Feature) -> str | None:
    """The description in the view, or that of the metric or dimension, with the window."""
    match feature:
        case MetricFeature(part=None):
            metric = graph.metric(feature.metric)
            window = describe_window(find_window(graph, feature))
            return feature.description or f"{_sentence(metric)} Taken over {window}."
        case MetricFeature(part=part):
            return f"The {part} of {feature.name.removesuffix(f'__{part}')}: {find_ratio_input(graph, feature).name}."
        case DimensionFeature():
            return feature.description or _dimension_text(graph, feature)


def describe_window(back: Back) -> str:
    """`the last 7 days`"""
    match back:
        case Window():
            return f"the last {back}"
        case None:
            return "all time before"
        case _:
            return f"the {back} to date"


def _sentence(metric: Metric) -> str:
    text = " ".join((metric.description or metric.label or metric.name).split())
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _dimension_text(graph: Graph, feature: DimensionFeature) -> str | None:
    entity, _, name = feature.dimension.partition("__")
    for model in graph.ways.keyed(entity):
        dimension = graph.dimension(model, name)
        if dimension is not None and dimension.description:
            return " ".join(dimension.description.split())
    return None
