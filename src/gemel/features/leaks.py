"""What would let a feature see more of the past than was known then: warnings, as it may be meant."""

from collections.abc import Iterator

from gemel.compiler.features.moments import has_history
from gemel.compiler.names.graph import Graph
from gemel.compiler.question.parsing import parse_item
from gemel.errors import BridgeError, GemelError
from gemel.spec.feature_views import DimensionFeature, FeatureView, MetricFeature
from gemel.spec.metrics import Metric


def leaks(graph: Graph, view: FeatureView) -> Iterator[GemelError]:
    """Warnings G520 and G521."""
    for feature in view.features:
        if isinstance(feature, DimensionFeature) and not feature.current and not has_history(graph, view, feature):
            yield BridgeError(
                "G520",
                f"{feature.dimension!r} has no history: every past moment would see it as it is now, which can leak",
                hint="say `as_of: current` if it never changes, or changes in no way that tells the outcome",
                place=feature.place,
                severity="warning",
            )
    seen: set[str] = set()
    for feature in view.features:
        if isinstance(feature, MetricFeature) and feature.metric not in seen:
            seen.add(feature.metric)
            for name, said in _said(graph, view, graph.metric(feature.metric)):
                yield BridgeError(
                    "G521",
                    f"metric {name!r} says in its meta that its facts are known at {said}, and the view "
                    f"takes {view.known_at or 'the time that they are reported under'}, which can leak",
                    hint=f"write `known_at: {said}`",
                    place=feature.place,
                    severity="warning",
                )


def _said(graph: Graph, view: FeatureView, metric: Metric) -> Iterator[tuple[str, str]]:
    """The metrics that a metric is made of, itself among them, whose facts are known at another time than the view
    takes, with that time."""
    said = metric.meta.get("known_at")
    if isinstance(said, str):
        segments = parse_item(said).segments
        if view.known_at is not None:
            taken = segments == parse_item(view.known_at).segments
        else:  # each measure's own time
            measures = graph.measures(metric)
            found = [(graph.attribute(each.model, segments), graph.time_dimension(each)) for each in measures]
            taken = all(known is not None and not known.hops and known.element == own for known, own in found)
        if not taken:
            yield metric.name, said
    for used in metric.definition.inputs:
        yield from _said(graph, view, graph.input_metric(used, by=metric.name))
