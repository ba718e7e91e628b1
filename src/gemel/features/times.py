"""The times of a feature view: the end of its table, and the times at which its facts become known."""

from sqlglot import exp

from gemel.compiler.features.moments import known_at
from gemel.compiler.names.graph import Graph
from gemel.compiler.question.expressions import Refused
from gemel.spec.feature_views import FeatureView, MetricFeature
from gemel.spec.manifest import Relation

UNTIL = '{{ var("gemel_until", run_started_at.strftime("%Y-%m-%d %H:%M:%S")) }}'
"""A template that dbt fills in when it runs: facts after `gemel_until` (default: now) are not known yet."""


def timestamp(text: str) -> exp.Expr:
    return exp.cast(exp.Literal.string(text), exp.DataType.Type.TIMESTAMP)


def known_times(graph: Graph, view: FeatureView) -> dict[tuple[Relation, str], exp.Expr]:
    """The times at which the facts of a view become known, by table and dimension, as expressions over the table."""
    times = {}
    metrics = dict.fromkeys(feature.metric for feature in view.features if isinstance(feature, MetricFeature))
    for measure in (measure for name in metrics for measure in graph.measures(graph.metric(name))):
        attribute = known_at(graph, view, measure)
        if attribute is None:
            continue
        relation = graph.models[attribute.model].relation
        try:
            value = graph.texts.over(relation.name, attribute.element.expr)
        except Refused:
            continue  # binding reports it
        times[relation, attribute.element.name] = value
    return times
