"""The numbers of the last year with facts, for a chart of each metric.

Metrics of the same tables over the same time share a query. If that fails, each of them is queried alone.
"""

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gemel.errors import GemelError
from gemel.progress import task, track
from gemel.spec.metrics import Measure, Metric
from gemel.spec.time import coarsest, finer, floor, step

if TYPE_CHECKING:
    from gemel.compiler.names.graph import Graph
    from gemel.project import Project

TOGETHER = 25
"""The number of metrics in one query: the SQL of more takes longer to plan than to run."""

_BACK = {"week": 52, "month": 12, "quarter": 8, "year": 5}
"""The number of buckets before the last one. Grains finer than a week are shown by week."""


@dataclass(frozen=True, slots=True)
class Series:
    """One number over time, by `grain`: a value or None for the first day of each bucket, in order."""

    grain: str
    points: tuple[tuple[dt.date, float | None], ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """Why there are no numbers."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Span:
    grain: str
    first: dt.date
    last: dt.date


def series(project: "Project") -> dict[str, Series | Unknown]:
    """The numbers by metric. A metric that cannot be queried, or has no value, has the reason instead; nothing is
    raised."""
    result: dict[str, Series | Unknown] = {}
    ends = _Ends(project)
    together: dict[tuple[_Span, frozenset[str]], list[str]] = {}
    for metric in track(project.metrics(), "the newest facts of", lambda metric: metric.name):
        try:
            span = _span(project, metric, ends)
        except GemelError as error:
            result[metric.name] = Unknown(error.message)
            continue
        if span is None:
            result[metric.name] = Unknown("its tables have no rows")
        else:
            homes = frozenset(measure.model for measure in project.session.graph.measures(metric))
            together.setdefault((span, homes), []).append(metric.name)
    with task("metrics", sum(map(len, together.values()))) as current:
        for (span, _), names in together.items():
            for first in range(0, len(names), TOGETHER):
                batch = names[first : first + TOGETHER]
                result |= _query(project, batch, span)
                current.done += len(batch)
    for name, numbers in result.items():
        if isinstance(numbers, Series) and all(value is None for _, value in numbers.points):
            result[name] = Unknown(_why_empty(project, name, numbers, ends))
    return result


def _why_empty(project: "Project", name: str, numbers: Series, ends: "_Ends") -> str:
    """The reason why a metric has facts, but no value."""
    graph = project.session.graph
    nowhere = f"it has no value in any {numbers.grain} from {numbers.points[0][0]} to {numbers.points[-1][0]}"
    empty = dict.fromkeys(each.model for each in graph.measures(graph.metric(name)) if ends.of(each) is None)
    if empty:
        return f"{nowhere}: {', '.join(empty)} has no rows"
    moved = dict.fromkeys(filter(None, _moved(graph, graph.metric(name))))
    return f"{nowhere}: it needs values of {', '.join(moved)} before" if moved else nowhere


def _moved(graph: "Graph", metric: Metric) -> Iterator[str | None]:
    """The times to which a metric is offset, at any depth."""
    for used in metric.definition.inputs:
        yield used.moved
        yield from _moved(graph, graph.input_metric(used, by=metric.name))


class _Ends:
    """The day of the newest row of a measure's model, queried once for each of its time dimensions."""

    def __init__(self, project: "Project") -> None:
        self._project = project
        self._newest: dict[tuple[str, str], dt.datetime | None] = {}

    def of(self, measure: Measure) -> dt.datetime | None:
        key = (measure.model, measure.time_dimension)
        if key not in self._newest:
            self._newest[key] = self._query(measure)
        return self._newest[key]

    def _query(self, measure: Measure) -> dt.datetime | None:
        graph = self._project.session.graph
        dimension = graph.time_dimension(measure)
        paths = [path for path, each in graph.attributes(measure.model, 0).items() if each.element == dimension]
        shortest = min(paths, key=len)
        # Written in full, because a dimension may have the name of a grain.
        item = {"name": "__".join(shortest), "grain": dimension.grain or "day"}
        answer = self._project.query([], [item], min_max_only=True)
        newest = answer.rows()[0][1]
        return None if newest is None else _moment(newest)


def _span(project: "Project", metric: Metric, ends: _Ends) -> _Span | None:
    """The span up to the newest row that the metric counts; None if there is no row."""
    measures = project.session.graph.measures(metric)
    newest = [end for end in map(ends.of, measures) if end is not None]
    if not newest:
        return None
    own = [metric.time_granularity] if metric.time_granularity else []
    least = coarsest([*(project.session.graph.time_dimension(measure).grain or "day" for measure in measures), *own])
    grain = "week" if finer(least, "week") else least
    last = max(newest)
    return _Span(grain, step(floor(last, grain), grain, -_BACK[grain]).date(), last.date())


def _query(project: "Project", names: Sequence[str], span: _Span) -> dict[str, Series | Unknown]:
    time = f"metric_time__{span.grain}"
    try:
        answer = project.query(names, [time], start_time=span.first, end_time=span.last, order_by=[time])
        rows = [(_moment(row[0]).date(), *row[1:]) for row in answer.rows() if row[0] is not None]
    except GemelError as error:
        if len(names) == 1 and error.code == "G324" and span.grain == "week":
            return _query(project, names, _by_month(span))  # a year ago is not whole weeks ago
        if len(names) == 1:
            return {names[0]: Unknown(error.message)}
        return {name: numbers for each in names for name, numbers in _query(project, [each], span).items()}
    return {name: _series(span, [(row[0], row[place]) for row in rows]) for place, name in enumerate(names, start=1)}


def _by_month(span: _Span) -> _Span:
    last = dt.datetime.combine(span.last, dt.time())
    return _Span("month", step(floor(last, "month"), "month", -_BACK["month"]).date(), span.last)


def _series(span: _Span, values: list[tuple[dt.date, Any]]) -> Series | Unknown:
    if any(isinstance(value, str | bytes | dt.date | dt.time | dt.timedelta) for _, value in values):
        return Unknown("its values are not numbers")
    by_day = dict(values)
    return Series(span.grain, tuple((day, _number(by_day.get(day))) for day in _buckets(span)))


def _buckets(span: _Span) -> Iterator[dt.date]:
    bucket = _moment(span.first)
    while bucket.date() <= span.last:
        yield bucket.date()
        bucket = step(bucket, span.grain, 1)


def _number(value: Any) -> float | None:
    """A finite number for the chart, else None."""
    number = None if value is None else float(value)
    return number if number is not None and math.isfinite(number) else None


def _moment(value: dt.date) -> dt.datetime:
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None)
    return dt.datetime.combine(value, dt.time())
