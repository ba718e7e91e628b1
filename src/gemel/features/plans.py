"""The plan of a feature view's table, or the features that make it impossible."""

from collections.abc import Iterator
from dataclasses import replace

from gemel.compiler.features.moments import known_at, plan_features, time_names
from gemel.compiler.features.reach import Within
from gemel.compiler.names.graph import Graph
from gemel.compiler.plan.algebra import Plan
from gemel.errors import BridgeError, GemelError, Place, did_you_mean
from gemel.features.times import UNTIL, timestamp
from gemel.spec.feature_views import DimensionFeature, Feature, FeatureView, MetricFeature
from gemel.spec.manifest import Dimension
from gemel.spec.metrics import Metric
from gemel.spec.time import finer


def plan_table(graph: Graph, view: FeatureView, within: Within | None = None) -> Plan:
    """The plan of the table up to `UNTIL`. Raises BridgeError (G51x, G522) for a feature without a meaning."""
    plan = plan_features(graph, view, until=timestamp(UNTIL), within=within)
    for name in dict.fromkeys(feature.metric for feature in _metrics(view)):
        _check_grain(graph, view, graph.metric(name))
    return plan


def find_refusals(graph: Graph, view: FeatureView) -> Iterator[GemelError]:
    """The errors of the features, each tried alone so that each error has its place."""
    unknown_time = _check_known_at(graph, view)
    if unknown_time is not None:  # reported once, not at each metric
        yield unknown_time
        view = replace(view, known_at=None)
    healthy: MetricFeature | None = None
    seen: set[str] = set()
    for feature in _metrics(view):
        error = _refusal(graph, view, (feature,))
        if error is not None and error.code == "G522" and unknown_time is not None:
            error = None  # it is about another time than the intended one
        if error is None:
            healthy = feature
        elif str(error) not in seen:  # the windows of one metric share its place, and mostly its error
            seen.add(str(error))
            yield error
    for each in view.features:
        if isinstance(each, DimensionFeature) and healthy is not None:
            error = _refusal(graph, view, (healthy, each))
            if error is not None:
                yield error


def _check_known_at(graph: Graph, view: FeatureView) -> GemelError | None:
    """An error if no metric has the `known_at` of the view."""
    if view.known_at is None:
        return None
    names = sorted({feature.metric for feature in _metrics(view) if feature.metric in graph.metrics})
    try:
        measures = [measure for name in names for measure in graph.measures(graph.metrics[name])]
        if not measures or any(known_at(graph, view, measure) for measure in measures):
            return None
    except GemelError:
        return None  # planning reports it
    times = dict.fromkeys(name for measure in measures for name in time_names(graph, measure))
    return BridgeError(
        "G516",
        f"known_at {view.known_at!r} is not a time dimension of the facts of feature view {view.name!r}",
        hint=did_you_mean(view.known_at, times) or f"one of {', '.join(times)}",
        place=view.known_at_place,
    )


def _refusal(graph: Graph, view: FeatureView, features: tuple[Feature, ...]) -> GemelError | None:
    try:
        plan_table(graph, replace(view, features=features))
    except GemelError as error:
        return place_at(error, features[-1].place)
    return None


def place_at(error: GemelError, place: Place | None) -> GemelError:
    """The error with the place of the feature in `feature_views/`, where a user starts."""
    error.place = place or error.place
    return error


def _check_grain(graph: Graph, view: FeatureView, metric: Metric) -> None:
    """Raises BridgeError (G522): the facts of a day would be known at its first hour, before they happen."""
    for measure in graph.measures(metric):
        attribute = known_at(graph, view, measure)
        grain = attribute.element.grain if attribute and isinstance(attribute.element, Dimension) else None
        if grain and finer(view.schedule, graph.grain_of(grain)):
            raise BridgeError(
                "G522",
                f"the facts of metric {metric.name!r} are known by {grain}, but the view's schedule is by "
                f"{view.schedule}: what happened late in a {grain} would count from its start",
                hint=f"use `schedule: {grain}`, or a finer time dimension as known_at",
            )


def _metrics(view: FeatureView) -> list[MetricFeature]:
    return [feature for feature in view.features if isinstance(feature, MetricFeature)]
