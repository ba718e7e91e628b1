"""BI asked today about a moment of the past, without what came later.

A metric of facts needs no more than a filter on their time. A conversion is counted at the time of its base event, so
one that happened after the moment would count too.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace

from gemel.compiler.graph import METRIC_TIME, Graph, inputs
from gemel.spec.manifest import Conversion, Metric


def as_known(graph: Graph, metrics: Iterable[str], moment: dt.datetime, schedule: str) -> Graph | None:
    """The graph with the conversions that these metrics are made of counted up to a moment; None if there are none."""
    before = f"{{{{ TimeDimension('{METRIC_TIME}', '{schedule}') }}}} < '{moment:%Y-%m-%d %H:%M:%S}'"
    changed: dict[str, Metric] = {}
    for name in metrics:
        for metric in _made_of(graph, name):
            if isinstance(metric.definition, Conversion):
                counted = metric.definition.conversion
                known = replace(counted, filters=(*counted.filters, before))
                changed[metric.name] = replace(metric, definition=replace(metric.definition, conversion=known))
    if not changed:
        return None
    return replace(graph, metrics={**graph.metrics, **changed}, _leaves={})


def _made_of(graph: Graph, name: str) -> Iterable[Metric]:
    metric = graph.metrics[name]
    yield metric
    for used in inputs(metric):
        yield from _made_of(graph, used.name)
