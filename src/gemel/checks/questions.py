"""Queries of every metric and saved query, to report the errors that they raise.

Metrics of the same facts are queried together, because one query of ten costs less than ten of one. If it fails, each
of its metrics is queried alone, so that every error is about one definition.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from gemel.compiler.names.graph import METRIC_TIME, Graph
from gemel.compiler.names.keys import metric_grain
from gemel.compiler.question.parsing import make_query, saved_question
from gemel.compiler.question.query import Query
from gemel.errors import About, GemelError
from gemel.spec.metrics import Metric

TOGETHER = 10

OTHERWISE = ("G320", "G324")
"""Errors of a metric that is queried by time alone, and works when grouped by more."""

Use = Callable[[Query], object]
"""Tries a query, for example compiles it. Raises GemelError if the query is invalid."""


def check_queries(graph: Graph, findings: Iterable[GemelError], use: Use) -> Iterator[GemelError]:
    """The errors of the queries that are not among `findings`. Definitions with an error there are not queried."""
    reported = {(each.code, each.message) for each in findings}
    for error in _refusals(graph, {each.about for each in findings if each.about and each.severity == "error"}, use):
        if (error.code, error.message) not in reported:
            reported.add((error.code, error.message))
            yield error


def _refusals(graph: Graph, wrong: set[About], use: Use) -> Iterator[GemelError]:
    valid = _valid_metrics(graph, wrong)
    doubtful: set[str] = set()
    for metrics in _group(graph, [metric for metric in valid if not metric.private]):
        if _refusal(use, partial(_by_time, metrics)):
            doubtful.update(metric.name for metric in metrics)
    # Metrics that build on an invalid one raise its error too. Only the first is reported.
    for metric in [each for each in valid if each.name in doubtful]:
        error = _refusal(use, partial(_by_time, [metric]))
        if error is not None:
            error.about = error.about or About("metric", metric.name)
            error.severity = "note" if error.code in OTHERWISE else "error"
            yield error
    names = {metric.name for metric in valid}
    for saved in graph.saved_queries.values():
        error = _refusal(use, partial(saved_question, saved)) if names.issuperset(saved.metrics) else None
        if error is not None:
            error.about = error.about or About("saved_query", saved.name)
            yield error


def _valid_metrics(graph: Graph, wrong: set[About]) -> list[Metric]:
    """The metrics without errors in them or in their inputs; inputs come first."""
    is_valid: dict[str, bool] = {}
    order: list[Metric] = []

    def visit(metric: Metric) -> bool:
        if metric.name not in is_valid:
            inner = [visit(graph.metrics[used.name]) for used in metric.definition.inputs]
            is_valid[metric.name] = all(inner) and About("metric", metric.name) not in wrong
            if is_valid[metric.name]:
                order.append(metric)
        return is_valid[metric.name]

    for metric in graph.metrics.values():
        try:
            measures = graph.measures(metric)
        except GemelError:
            continue  # it refers to itself, or to something that could not be read
        about = [(each.model, part) for each in measures for part in (None, each.name, each.time_dimension)]
        if not any(About("semantic_model", model, part) in wrong for model, part in about):
            visit(metric)
    return order


def _group(graph: Graph, metrics: Iterable[Metric]) -> Iterator[list[Metric]]:
    groups: dict[object, list[Metric]] = {}
    for metric in metrics:
        models = frozenset(measure.model for measure in graph.measures(metric))
        groups.setdefault((models, _grain(graph, metric)), []).append(metric)
    for group in groups.values():
        for start in range(0, len(group), TOGETHER):
            yield group[start : start + TOGETHER]


def _grain(graph: Graph, metric: Metric) -> str | None:
    try:
        return metric_grain(graph, metric)
    except GemelError:
        return None  # its query raises the error


def _refusal(use: Use, question: Callable[[], Query]) -> GemelError | None:
    try:
        use(question())
    except GemelError as error:
        return error
    return None


def _by_time(metrics: Iterable[Metric]) -> Query:
    return make_query([metric.name for metric in metrics], [METRIC_TIME])
