"""Every metric and saved query, asked: whatever a question of it would be refused for.

Metrics of the same facts are asked for together, as one question of ten costs less than ten of one. Where a question
is refused, each of its metrics is asked for by itself, so that what is told is about one definition.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from gemel.compiler.names.graph import METRIC_TIME, Graph
from gemel.compiler.names.keys import metric_grain
from gemel.compiler.question.parsing import make_query
from gemel.compiler.question.query import Query
from gemel.errors import About, GemelError
from gemel.spec.manifest import SavedQuery
from gemel.spec.metrics import Metric

TOGETHER = 10

OTHERWISE = ("G320", "G324")
"""What a metric is refused for when asked by time alone, and can be asked by something more."""

Use = Callable[[Query], object]
"""What is done with a question to see whether it is refused: it is compiled, say. Raises GemelError if it is."""


def refused(graph: Graph, found: Iterable[GemelError], use: Use) -> Iterator[GemelError]:
    """What the questions are refused for, and was not `found` before. A definition of which an error was found is
    not asked for."""
    told = {(each.code, each.message) for each in found}
    for error in _refusals(graph, {each.about for each in found if each.about and each.severity == "error"}, use):
        if (error.code, error.message) not in told:
            told.add((error.code, error.message))
            yield error


def _refusals(graph: Graph, wrong: set[About], use: Use) -> Iterator[GemelError]:
    able = _askable(graph, wrong)
    doubtful: set[str] = set()
    for metrics in _together(graph, [metric for metric in able if not metric.private]):
        if _refusal(use, partial(_by_time, metrics)):
            doubtful.update(metric.name for metric in metrics)
    # What a metric is refused for, those made of it are refused for too: it is told where it arises.
    for metric in [each for each in able if each.name in doubtful]:
        error = _refusal(use, partial(_by_time, [metric]))
        if error is not None:
            error.about = error.about or About("metric", metric.name)
            error.severity = "note" if error.code in OTHERWISE else "error"
            yield error
    names = {metric.name for metric in able}
    for saved in graph.saved_queries.values():
        error = _refusal(use, partial(_saved, saved)) if names.issuperset(saved.metrics) else None
        if error is not None:
            error.about = error.about or About("saved_query", saved.name)
            yield error


def _askable(graph: Graph, wrong: set[About]) -> list[Metric]:
    """The metrics of which nothing is wrong, nor of what they are made of, which stands before them."""
    known: dict[str, bool] = {}
    order: list[Metric] = []

    def look(metric: Metric) -> bool:
        if metric.name not in known:
            inner = [look(graph.metrics[used.name]) for used in metric.definition.inputs]
            known[metric.name] = all(inner) and About("metric", metric.name) not in wrong
            if known[metric.name]:
                order.append(metric)
        return known[metric.name]

    for metric in graph.metrics.values():
        try:
            measures = graph.measures(metric)
        except GemelError:
            continue  # made of itself, or of what could not be read
        about = [(each.model, part) for each in measures for part in (None, each.name, each.time_dimension)]
        if not any(About("semantic_model", model, part) in wrong for model, part in about):
            look(metric)
    return order


def _together(graph: Graph, metrics: Iterable[Metric]) -> Iterator[list[Metric]]:
    alike: dict[object, list[Metric]] = {}
    for metric in metrics:
        models = frozenset(measure.model for measure in graph.measures(metric))
        alike.setdefault((models, _grain(graph, metric)), []).append(metric)
    for each in alike.values():
        for start in range(0, len(each), TOGETHER):
            yield each[start : start + TOGETHER]


def _grain(graph: Graph, metric: Metric) -> str | None:
    try:
        return metric_grain(graph, metric)
    except GemelError:
        return None  # refused when it is asked for


def _refusal(use: Use, question: Callable[[], Query]) -> GemelError | None:
    try:
        use(question())
    except GemelError as error:
        return error
    return None


def _by_time(metrics: Iterable[Metric]) -> Query:
    return make_query([metric.name for metric in metrics], [METRIC_TIME])


def _saved(saved: SavedQuery) -> Query:
    return make_query(saved.metrics, saved.group_by, where=saved.where, order_by=saved.order_by, limit=saved.limit)
