"""What a name is, if it is asked for as something else: a measure or dimension as a metric, a metric as a dimension."""

from gemel.compiler.names.graph import Graph
from gemel.errors import UnknownNameError
from gemel.spec.manifest import Entity
from gemel.spec.metrics import Metric


def find_metric(graph: Graph, name: str) -> Metric:
    """The metric of that name. Raises UnknownNameError (G201), which says what else has the name."""
    try:
        return graph.metric(name)
    except UnknownNameError as error:
        error.hint = _as_metric(graph, name) or error.hint
        raise


def _as_metric(graph: Graph, name: str) -> str | None:
    """What a name is that is no metric; None if it is nothing."""
    folded = name.lower()
    if measured := _as_measure(graph, name):
        return measured
    if folded in graph.saved_queries:
        return f"{name} is a saved query: --saved-query {name}"
    segments, _ = graph.split_grain(tuple(folded.split("__")))
    for model in graph.models:
        if (attribute := graph.plain_attribute(model, segments)) is not None:
            kind = "an entity" if isinstance(attribute.element, Entity) else "a dimension"
            return f"{name} is {kind}: --group-by {name}"
    if own := _dimensions(graph, folded):
        return f"{name} is a dimension: --group-by {' or '.join(own[:3])}"
    return None


def _as_measure(graph: Graph, name: str) -> str | None:
    """Which metrics are computed from the measure of that name; None if there is none."""
    folded = name.lower()
    for measure in graph.manifest.measures:
        if measure.name.lower() == folded:
            over = [m.name for m in graph.metrics.values() if not m.private and m.definition.measure == measure]
            users = over or [m.name for m in graph.metrics.values() if not m.private and measure in graph.measures(m)]
            ask = f"; ask for {' or '.join(sorted(users)[:3])}, computed from it" if users else ""
            return f"{name} is a measure of semantic model {measure.model}{ask}"
    for measure_name, model in graph.manifest.idle_measures:
        if measure_name.lower() == folded:
            return (
                f"{name} is a measure of semantic model {model}, and no metric is made of it: give it "
                f"`create_metric: true`, or write a metric over it"
            )
    return None


def _dimensions(graph: Graph, name: str) -> list[str]:
    """The dimensions of that name without their entity, as an entity's own."""
    every = {segments for model in graph.models for segments in graph.attributes(model)}
    return sorted("__".join(segments) for segments in every if len(segments) == 2 and segments[1] == name)


def as_item(graph: Graph, name: str) -> str | None:
    """What a name is that is no dimension or entity; None if it is nothing."""
    metric = graph.metrics.get(name.lower())
    if metric is None or metric.private:
        return None if _dimensions(graph, name.lower()) else _as_measure(graph, name)
    return (
        f"{name} is a metric: --metrics {name} for its values, or {{{{ Metric('{name}', ['entity']) }}}} "
        f"for one of each entity"
    )
