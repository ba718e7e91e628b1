"""What BI is asked today about a moment of the past.

A metric of facts needs no more than a filter on their time. A conversion is counted at the time of its base event, so
one that happened after the moment would count too. And a metric that dbt made for itself, of a measure that a
cumulative metric accumulates, cannot be asked by its name.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace

from gemel.compiler.names.graph import METRIC_TIME, Graph
from gemel.spec.metrics import Metric


def to_ask(graph: Graph, metrics: Iterable[str], moment: dt.datetime, schedule: str) -> Graph | None:
    """The graph in which metrics can be asked as they were known before a moment; None where it is the same."""
    before = f"{{{{ TimeDimension('{METRIC_TIME}', '{schedule}') }}}} < '{moment:%Y-%m-%d %H:%M:%S}'"
    changed: dict[str, Metric] = {}
    for name in metrics:
        for metric in _made_of(graph, name):
            known = metric.definition.filtered_later(before)
            if known is not metric.definition:
                changed[metric.name] = replace(metric, definition=known)
        if graph.metrics[name].private:
            changed[name] = replace(changed.get(name, graph.metrics[name]), private=False)
    if not changed:
        return None
    return replace(graph, metrics={**graph.metrics, **changed}, _leaves={})


def _made_of(graph: Graph, name: str) -> Iterable[Metric]:
    metric = graph.metrics[name]
    yield metric
    for used in metric.definition.inputs:
        yield from _made_of(graph, used.name)
