"""Warnings about features that may use values that were not known at their moment."""

from collections.abc import Iterator

from gemel.compiler.features.histories import has_history
from gemel.compiler.names.graph import Graph
from gemel.compiler.question.parsing import parse_item
from gemel.errors import BridgeError, GemelError
from gemel.spec.feature_views import DimensionFeature, FeatureView, MetricFeature
from gemel.spec.metrics import Metric


def find_leaks(graph: Graph, view: FeatureView) -> Iterator[GemelError]:
    """Warnings G520 and G521."""
    for feature in view.features:
        if isinstance(feature, DimensionFeature) and not feature.current and not has_history(graph, view, feature):
            yield BridgeError(
                "G520",
                f"{feature.dimension!r} has no history: every past moment would see its value of now, which can leak",
                hint="write `as_of: current` if it never changes, or if its changes do not reveal the outcome",
                place=feature.place,
                severity="warning",
            )
    checked: set[str] = set()
    for feature in view.features:
        if isinstance(feature, MetricFeature) and feature.metric not in checked:
            checked.add(feature.metric)
            for name, known_at in _other_times(graph, view, graph.metric(feature.metric)):
                yield BridgeError(
                    "G521",
                    f"the meta of metric {name!r} says that its facts are known at {known_at}, but the view uses "
                    f"{view.known_at or 'the time that they are reported under'}, which can leak",
                    hint=f"write `known_at: {known_at}`",
                    place=feature.place,
                    severity="warning",
                )


def _other_times(graph: Graph, view: FeatureView, metric: Metric) -> Iterator[tuple[str, str]]:
    """The metric and those of its inputs with another `known_at` than the view, with that time."""
    known_at = metric.meta.get("known_at")
    if isinstance(known_at, str):
        segments = parse_item(known_at).segments
        if view.known_at is not None:
            is_same = segments == parse_item(view.known_at).segments
        else:  # each measure's own time
            measures = graph.measures(metric)
            times = [(graph.attribute(each.model, segments), graph.time_dimension(each)) for each in measures]
            is_same = all(at is not None and not at.hops and at.element == own for at, own in times)
        if not is_same:
            yield metric.name, known_at
    for used in metric.definition.inputs:
        yield from _other_times(graph, view, graph.input_metric(used, by=metric.name))
