"""How today's BI query shows a metric as it was known at a past moment.

Most metrics need only a filter on the time of their facts. A conversion is counted at the time of its base event, so
the filter alone would also count conversions after the moment. And a private metric, which dbt creates for the measure
of a cumulative metric, cannot be queried by its name.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace

from gemel.compiler.names.graph import METRIC_TIME, Graph
from gemel.spec.metrics import Metric


def restrict_to_moment(graph: Graph, metrics: Iterable[str], moment: dt.datetime, schedule: str) -> Graph | None:
    """The graph in which metrics are as they were known before a moment; None if it is the same graph."""
    before = f"{{{{ TimeDimension('{METRIC_TIME}', '{schedule}') }}}} < '{moment:%Y-%m-%d %H:%M:%S}'"
    changed: dict[str, Metric] = {}
    for name in metrics:
        for metric in _with_inputs(graph, name):
            definition = metric.definition.filtered_later(before)
            if definition is not metric.definition:
                changed[metric.name] = replace(metric, definition=definition)
        if graph.metrics[name].private:
            changed[name] = replace(changed.get(name, graph.metrics[name]), private=False)
    if not changed:
        return None
    return replace(graph, metrics={**graph.metrics, **changed}, _leaves={})


def _with_inputs(graph: Graph, name: str) -> Iterable[Metric]:
    metric = graph.metrics[name]
    yield metric
    for used in metric.definition.inputs:
        yield from _with_inputs(graph, used.name)
