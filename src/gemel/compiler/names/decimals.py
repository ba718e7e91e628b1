"""Which metrics keep all digits of their whole numbers: `config: meta: gemel: {type: decimal}`."""

from gemel.compiler.names.graph import Graph
from gemel.spec.metrics import ALL_DIGITS, BIG, Metric


def keeps_digits(graph: Graph, metric: Metric) -> bool:
    """Whether a metric is a decimal, by its own settings, by those of its measure, or because an input is one."""
    measure = metric.definition.measure
    if metric.is_decimal or (measure is not None and measure.is_decimal):
        return True
    return any(keeps_digits(graph, graph.input_metric(used, by=metric.name)) for used in metric.definition.inputs)


def whole_type(graph: Graph, metric: Metric) -> str:
    """The type, in DuckDB's words, of a metric's whole numbers."""
    return ALL_DIGITS if keeps_digits(graph, metric) else BIG
