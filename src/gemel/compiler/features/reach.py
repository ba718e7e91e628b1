"""How far the features of a view look back, and so which facts a moment needs, and which moments a fact changes."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlglot import exp

from gemel.compiler.features.histories import has_history
from gemel.compiler.names.graph import Graph
from gemel.compiler.names.terms import Converted
from gemel.compiler.plan.distinct import Back
from gemel.compiler.plan.facts import truncated
from gemel.compiler.question.expressions import conjunction, interval
from gemel.spec.feature_views import DimensionFeature, FeatureView, MetricFeature
from gemel.spec.time import Window, seconds


@dataclass(frozen=True, slots=True)
class Within:
    """The rows to keep: from `first` on and before `end`, and with `rest` also those from there on."""

    first: exp.Expr
    end: exp.Expr
    rest: exp.Expr | None = None

    def condition(self, moment: exp.Expr) -> exp.Expr:
        is_before: exp.Expr = exp.LT(this=moment, expression=self.end)
        if self.rest is not None:
            is_before = exp.paren(exp.or_(is_before, exp.GTE(this=moment, expression=self.rest)))
        return conjunction([exp.GTE(this=moment, expression=self.first), is_before])


def find_window(graph: Graph, feature: MetricFeature) -> Back:
    """How far back a feature looks: over its window, over all time, or as its cumulative metric says."""
    if not feature.own:
        return feature.window
    definition = graph.metric(feature.metric).definition
    return definition.back if definition.accumulated else None


def find_reach(graph: Graph, view: FeatureView) -> Window | None:
    """The longest window of a view: a fact changes no row that is later than this. None if there is no such limit.

    There is none for a window over all time (and a period to date is taken as such), nor for an entity's first moment:
    with that begin the rows of `every_step`, and those that a history adds.
    """
    metrics = [feature for feature in view.features if isinstance(feature, MetricFeature)]
    backs: Iterable[Back] = [find_window(graph, feature) for feature in metrics]
    windows = [back for back in backs if isinstance(back, Window)]
    if view.every_step or len(windows) < len(metrics):
        return None
    if any(isinstance(each, DimensionFeature) and has_history(graph, view, each) for each in view.features):
        return None
    return max(windows, key=seconds)


def find_needed_since(
    graph: Graph, view: FeatureView, first: exp.Expr, conversions: Iterable[Converted]
) -> exp.Expr | None:
    """The time from which facts are needed for the rows from `first` on; None if all facts are needed.

    A conversion has a row even if its base event has left every window.
    """
    reach, between = find_reach(graph, view), dict.fromkeys(each.window for each in conversions)
    if reach is None or None in between:
        return None
    since = first
    for window in filter(None, [view.delay, reach, Window(1, view.schedule), *between]):
        since = exp.Sub(this=since, expression=interval(window))
    return since


def find_latest(view: FeatureView, until: exp.Expr) -> exp.Expr:
    """The last moment of the schedule at which all facts before it are known."""
    latest = until.copy()
    if view.delay:
        latest = exp.Sub(this=latest, expression=interval(view.delay))
    return truncated(latest, view.schedule, None)
