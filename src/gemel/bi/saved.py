"""A saved query's exports as dbt models: the rows of `gemel query --saved-query`, under the names of the exports."""

from collections.abc import Iterator

from gemel.bi.declared import DeclaredQuery
from gemel.bi.models import BiModel, Column, sentence
from gemel.compiler.names.graph import Graph
from gemel.compiler.names.resolution import resolve
from gemel.compiler.names.terms import Key, Metrics, Resolved, Values
from gemel.compiler.plan.algebra import Plan
from gemel.compiler.plan.planning import plan
from gemel.compiler.question.parsing import saved_question
from gemel.compiler.question.query import Query
from gemel.errors import About, GemelError
from gemel.spec.manifest import Export, SavedQuery
from gemel.spec.metrics import Metric


def saved_models(graph: Graph, declared: DeclaredQuery) -> Iterator[BiModel]:
    """A model for each export. Raises the errors of querying the saved query."""
    if not declared.exports:
        return
    about = About("saved_query", declared.name)
    try:
        saved = graph.saved_query(declared.name)
        query = saved_question(saved)
        resolved = resolve(graph, query)
        planned = plan(graph, resolved)
    except GemelError as error:
        error.about = error.about or about
        raise
    columns = tuple(_columns(graph, query, resolved))
    for export in declared.exports:
        yield _model(saved, declared, export, planned, columns)


def _model(
    saved: SavedQuery, declared: DeclaredQuery, export: Export, planned: Plan, columns: tuple[Column, ...]
) -> BiModel:
    return BiModel(
        source=declared.file,
        plan=planned,
        export=export,
        description=saved.description or saved.label or f"The saved query {saved.name}.",
        columns=columns,
        keys=tuple(column.name for column in columns if "metric" not in column.meta),
        meta={"saved_query": saved.name, "export": export.name},
        about=About("saved_query", saved.name, export.name),
    )


def _columns(graph: Graph, query: Query, resolved: Resolved) -> Iterator[Column]:
    metrics = [graph.metric(item.name) for item in query.metrics]
    match resolved:
        case Metrics(keys=keys):
            yield from (_key(graph, key, metrics) for key in keys)
        case Values(keys=pairs):
            yield from (_key(graph, key, metrics) for key, _ in pairs)
    for item, metric in zip(query.metrics, metrics, strict=True):
        yield Column(item.column, metric.description or metric.label, meta={"metric": metric.name, "type": metric.type})


def _key(graph: Graph, key: Key, metrics: list[Metric]) -> Column:
    description = "The time of the metrics" if key.is_metric_time else None
    homes = [measure.model for metric in metrics for measure in graph.measures(metric)] or list(graph.models)
    for home in homes:
        attribute = graph.plain_attribute(home, key.segments) if description is None else None
        if attribute is not None:
            description = attribute.element.description or attribute.element.label
    by = f" By {key.grain}." if key.grain else f" Its {key.part}." if key.part else ""
    text = f"{sentence(description)}{by}" if description else None
    return Column(key.name, text, cut=bool(key.grain or key.part))
