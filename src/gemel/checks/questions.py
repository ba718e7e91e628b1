"""Every metric and saved query, asked: whatever a question of it would be refused for.

Metrics of the same facts are asked for together, as one question of ten costs less than ten of one. Where a question
is refused, each of its metrics is asked for by itself, so that what is told is about one definition.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from gemel.compiler.graph import METRIC_TIME, Graph, inputs
from gemel.compiler.keys import metric_grain
from gemel.compiler.query import Query, make_query
from gemel.errors import About, GemelError
from gemel.spec.manifest import Metric, SavedQuery

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
    able = [metric for metric in graph.metrics.values() if _can_be_asked(graph, metric, wrong)]
    doubtful: list[Metric] = []
    for metrics in _together(graph, [metric for metric in able if not metric.private]):
        if _refusal(use, partial(_by_time, metrics)):
            doubtful += metrics
    # What a metric is refused for, those made of it are refused for too: it is told where it arises.
    for metric in sorted(doubtful, key=lambda metric: _depth(graph, metric)):
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


def _can_be_asked(graph: Graph, metric: Metric, wrong: set[About]) -> bool:
    """Whether nothing is wrong with it, nor with what it is made of."""
    try:
        measures = graph.measures(metric)
    except GemelError:
        return False
    used = {
        About("semantic_model", measure.model, element)
        for measure in measures
        for element in (None, measure.name, measure.time_dimension)
    }
    below = [metric]
    while below:
        each = below.pop()
        used.add(About("metric", each.name))
        below += [graph.metrics[item.name] for item in inputs(each)]
    return not used & wrong


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


def _depth(graph: Graph, metric: Metric) -> int:
    return 1 + max((_depth(graph, graph.metrics[used.name]) for used in inputs(metric)), default=0)


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
