"""Names of a question that mean nothing: plain names in filters, and all unknown names at once."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from gemel.compiler.names.graph import METRIC_TIME, Graph
from gemel.compiler.names.keys import make_key, make_keys
from gemel.compiler.names.listing import list_items
from gemel.compiler.names.misnamed import as_item, find_metric
from gemel.compiler.names.unreachable import spelling, unreachable
from gemel.compiler.question.expressions import Template
from gemel.compiler.question.query import Item, MetricItem, Query
from gemel.compiler.question.references import shorten
from gemel.errors import GemelError, Problems, QueryError, UnknownNameError
from gemel.spec.metrics import Metric


def check_plain_names(graph: Graph, template: Template, metrics: Sequence[Metric]) -> None:
    """Raises QueryError (G309) for a plain name in a filter that is no group-by item, or a metric as well."""
    for error in _wrong_names(graph, template, metrics):
        raise error


def _wrong_names(graph: Graph, template: Template, metrics: Sequence[Metric]) -> Iterator[QueryError]:
    for number in sorted(template.bare):
        item = template.references[number]
        assert isinstance(item, Item)
        name, who = str(item), f"the filter {shorten(template.text)}"
        is_metric = name in graph.metrics and not graph.metrics[name].private
        if not _exists(graph, item):
            hint = _filter_by_result(name) if is_metric else _suggest(graph, name, metrics)
            yield QueryError("G309", f"{who} names {name[:80]!r}, which is not a reference", hint=hint)
        elif is_metric:
            hint = f"write {{{{ Dimension('{name}') }}}} for the item; {_filter_by_result(name)}"
            yield QueryError("G309", f"{who} names {name!r}, which is a group-by item and a metric", hint=hint)


def _exists(graph: Graph, item: Item) -> bool:
    segments = graph.split_grain(item.segments)[0] if item.part is None else item.segments
    return segments == (METRIC_TIME,) or any(graph.plain_attribute(model, segments) for model in graph.models)


def _filter_by_result(name: str) -> str:
    return f"filter a metric's result with --having, or by {{{{ Metric('{name}', ['entity']) }}}}"


def _suggest(graph: Graph, name: str, metrics: Sequence[Metric]) -> str:
    """The references that a plain name was probably meant to be."""
    listed = list_items(graph, [metric.name for metric in metrics])
    names = {each.name: "Dimension" if each.is_dimension else "Entity" for each in listed}
    ends = sorted(full for full in names if full.rpartition("__")[2] == name)
    near = ends[:3] or get_close_matches(name[:200], names, n=3)
    if near:
        return f"did you mean {' or '.join(f'{{{{ {names[full]}({full!r}) }}}}' for full in near)}?"
    return (
        "filter rows by a reference such as {{ Dimension('entity__name') }}, put a text value in single quotes, and "
        "filter a metric's result with --having"
    )


UNKNOWN = frozenset(("G201", "G202", "G304", "G305", "G309", "G316"))
"""The codes of names that mean nothing, or nothing here."""


def all_unknown(graph: Graph, query: Query, dialect: str) -> Problems | None:
    """Every unknown name of a question: metrics, group-by items, then filters. None if there is at most one."""
    errors: dict[str, GemelError] = {}
    for error in _unknown(graph, query, dialect):
        if error.code in UNKNOWN:
            errors.setdefault(error.message, error)
    return Problems(errors.values()) if len(errors) > 1 else None


def _unknown(graph: Graph, query: Query, dialect: str) -> Iterator[GemelError]:
    metrics: list[Metric] = []
    for each in query.metrics:
        try:
            metrics.append(find_metric(graph, each.name))
        except GemelError as error:
            yield error
    items: list[Item | MetricItem] = list(query.group_by)
    for text in query.where:
        try:
            template = graph.texts.asked(text, dialect)
            yield from _wrong_names(graph, template, metrics)
            items += [each for number, each in enumerate(template.references) if number not in template.bare]
        except GemelError as error:
            yield error
    names = [each.column for each in query.metrics]
    for item in items:
        try:
            yield from _unknown_item(graph, item, metrics)
            if item in query.group_by and isinstance(item, Item):
                names += [key.name for key in make_keys(graph, [item], metrics)]
        except GemelError as error:
            yield error
            names.append(str(item))
    for text in query.having if query.metrics else ():
        try:
            graph.texts.result_filter(text, names, dialect)
        except GemelError as error:
            yield error


def _unknown_item(graph: Graph, item: Item | MetricItem, metrics: Sequence[Metric]) -> Iterator[GemelError]:
    """Raises GemelError, too."""
    wanted = item if isinstance(item, MetricItem) else item.metric
    if wanted is not None:
        metric = graph.metric(wanted.metric)
        for each in wanted.group_by:
            yield from _unknown_item(graph, each, [metric])
        return
    assert isinstance(item, Item)
    key = make_key(graph, item, metrics)
    if key.is_metric_time:
        return
    for metric in metrics:
        for measure in graph.measures(metric):
            if graph.attribute(measure.model, key.segments) is None:
                yield unreachable(graph, metric, measure, key)
    if not metrics and not _exists(graph, item):
        name = "__".join(key.segments)
        names = ["__".join(segments) for model in graph.models for segments in graph.attributes(model)]
        hint = as_item(graph, name) or spelling(name, names) or "see `gemel list dimensions`"
        yield UnknownNameError("G202", f"no dimension or entity named {name[:80]!r}", hint=hint)
