"""The BI value of each feature: the ordinary query of its metric, filtered to the facts known before a moment."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gemel.compiler.features.histories import own_row
from gemel.compiler.features.moments import find_ratio_input
from gemel.compiler.features.reach import find_window
from gemel.compiler.names.entities import entity_item
from gemel.compiler.names.graph import METRIC_TIME, Graph
from gemel.compiler.plan.distinct import Back
from gemel.compiler.question.parsing import parse_item
from gemel.proof.hindsight import restrict_to_moment
from gemel.proof.places import Answer, FeatureTable, Key, Row
from gemel.proof.sameness import to_moment
from gemel.spec.feature_views import DimensionFeature, Feature, MetricFeature
from gemel.spec.time import Window, duration, floor, step


def bi_values(
    graph: Graph,
    table: FeatureTable,
    moment: dt.datetime,
    stored: Iterable[Key],
    reach: Callable[[MetricFeature], Back] | None = None,
) -> Iterator[tuple[list[Feature], dict[Key, Row], Row]]:
    """Yield features, their values by entity, and the value of an entity without facts: one query for each window.

    `reach` replaces a feature's own window.
    """
    spec = table.view
    reach = reach or (lambda feature: find_window(graph, feature))
    questions: dict[tuple[dt.datetime | None, tuple[str, ...], tuple[str, ...]], list[tuple[Feature, str]]] = {}
    for feature in spec.features:
        if isinstance(feature, MetricFeature):
            metric, filters = _plain_metric(graph, feature)
            since = _since(reach(feature), moment, spec.schedule)
            questions.setdefault((since, filters, _entities(graph, table, metric)), []).append((feature, metric))
        else:
            values = _dimension(graph, table, feature, moment)
            place = table.keys.index(parse_item(feature.dimension).segments[0])
            yield [feature], {key: (values[key[place]],) for key in stored if key[place] in values}, (None,)
    dimension = "__".join(parse_item(spec.known_at).segments) if spec.known_at else METRIC_TIME
    time = f"{{{{ TimeDimension('{dimension}', '{spec.schedule}') }}}}"
    for (since, filters, entities), requested in questions.items():
        metrics = list(dict.fromkeys(metric for _, metric in requested))
        inside = [f"{time} < '{moment:%Y-%m-%d %H:%M:%S}'", *filters]
        if since is not None:
            inside.append(f"{time} >= '{since:%Y-%m-%d %H:%M:%S}'")
        keys = [{"name": item, "alias": key} for item, key in zip(entities, table.keys, strict=True)]
        restricted = restrict_to_moment(graph, metrics, moment, spec.schedule)
        ask = table.places.ask if restricted is None else table.places.ask_graph(restricted)
        rows = _by_key(table, ask(metrics, keys, inside))
        # The metric over no facts at all: NULL, or its `fill_nulls_with`.
        nothing = ask(metrics, (), [*inside, f"{time} < '0001-01-01'"]).rows() or [(None,) * len(metrics)]
        # A count of distinct values over no rows is 0, but an entity without rows has no value.
        empty = [
            None if _counts_values(graph, name) else value for name, value in zip(metrics, nothing[0], strict=True)
        ]
        order = [metrics.index(metric) for _, metric in requested]
        yield (
            [feature for feature, _ in requested],
            {key: tuple(row[index] for index in order) for key, row in rows.items()},
            tuple(empty[index] for index in order),
        )


def _entities(graph: Graph, table: FeatureTable, metric: str) -> tuple[str, ...]:
    """The view's entities as group-by items of a query of a metric: `plane__maker`."""
    return tuple(str(entity_item(graph, key, graph.metrics[metric])) for key in table.keys)


def _counts_values(graph: Graph, name: str) -> bool:
    """Whether a metric is computed from a count of distinct values without `fill_nulls_with`."""
    definition = graph.metrics[name].definition
    if definition.measure is not None:
        return definition.measure.agg == "count_distinct" and definition.fill_nulls_with is None
    return any(_counts_values(graph, used.name) for used in definition.inputs)


def _dimension(graph: Graph, table: FeatureTable, feature: DimensionFeature, moment: dt.datetime) -> dict[Any, Any]:
    """The dimension by the entity's key; in a history, from the version in force just before the moment."""
    own = own_row(graph, table.keys, feature.dimension)
    grains = {edge.validity: graph.grain_of(edge.grain or "second") for edge in own.edges}
    values = {}
    edges = [f"{own.entity}__{edge.name}" for edge in own.edges]
    place = table.keys.index(own.entity)
    for key, value, *times in table.places.ask((), (own.entity, feature.dimension, *edges), ()).rows():
        # A time that is known only by its day counts once that day is over.
        times_by_edge = {
            which: time and step(to_moment(time), grain, 1)
            for (which, grain), time in zip(grains.items(), times, strict=True)
        }
        start, end = times_by_edge.get("start"), times_by_edge.get("end")
        if not own.edges or (start is not None and start <= moment and (end is None or moment < end)):
            values[table.key(place, key)] = value
    return values


def _since(back: Back, moment: dt.datetime, schedule: str) -> dt.datetime | None:
    """The first instant that counts at a moment; None is the beginning of time."""
    match back:
        case Window():
            return moment - duration(back)
        case None:
            return None
        case _:
            return floor(moment - duration(Window(1, schedule)), back)


def _plain_metric(graph: Graph, feature: MetricFeature) -> tuple[str, tuple[str, ...]]:
    """The metric to query, and the filters it has as a side of a ratio."""
    metric = graph.metric(feature.metric)
    used = metric.definition.accumulated if feature.own else None
    if feature.part is not None:
        used = find_ratio_input(graph, feature)
    if used is None:
        return metric.name, ()
    return used.name, (*metric.filters, *used.filters)


def _by_key(table: FeatureTable, answer: Answer) -> dict[Key, Row]:
    """Values by entity, without the group whose entity is NULL."""
    count = len(table.keys)
    return {
        tuple(table.key(place, value) for place, value in enumerate(row[:count])): row[count:]
        for row in answer.rows()
        if None not in row[:count]
    }
