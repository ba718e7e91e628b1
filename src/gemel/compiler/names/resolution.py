"""A query, resolved against a graph: every metric as a term, over the times and totals that the query asks for."""

from dataclasses import replace
from functools import partial

from gemel.compiler.names.graph import Graph
from gemel.compiler.names.keys import make_keys, make_orders, make_span, no_twins
from gemel.compiler.names.misnamed import find_metric
from gemel.compiler.names.scopes import Filters, FilterText, Scope, per_entity
from gemel.compiler.names.terms import TOTAL, Formula, Leaf, Metrics, Output, Resolved, Term
from gemel.compiler.names.unknown import UNKNOWN, all_unknown
from gemel.compiler.names.values import resolve_values
from gemel.compiler.question.query import Over, Query
from gemel.errors import About, GemelError, QueryError
from gemel.spec.metrics import Metric
from gemel.spec.time import finer


def resolve(graph: Graph, query: Query, dialect: str | None = None) -> Resolved:
    """Look up every name of a query, and write its filters for a dialect, by default the warehouse's.

    Raises UnknownNameError, QueryError or DefinitionError for the first that is invalid, and Problems if several names
    are unknown.
    """
    spoken = dialect or graph.texts.dialect
    try:
        return _resolve(graph, query, spoken)
    except GemelError as error:
        if error.code in UNKNOWN and (problems := all_unknown(graph, query, spoken)):
            raise problems from None
        raise


def _resolve(graph: Graph, query: Query, dialect: str) -> Resolved:
    if not query.metrics:
        return resolve_values(graph, query, partial(per_entity, Scope(graph, (), None, ())), dialect)
    if query.min_max_only:
        hint = "omit the metrics, or order by the item"
        raise QueryError("G322", "the least and greatest values are those of an item, not of metrics", hint=hint)
    metrics = [find_metric(graph, item.name) for item in query.metrics]
    names = [item.column for item in query.metrics]
    keys = make_keys(graph, query.group_by, metrics)
    available = [*(key.name for key in keys), *names]
    no_twins(available)
    if query.totals:
        no_twins([*available, TOTAL])
    scope = Scope(graph, keys, make_span(graph, query, keys, metrics), metrics)
    filters = (
        *(FilterText(text, outer=True, about=query.about) for text in query.own),
        *(FilterText(text, outer=True) for text in query.trusted),
        *(FilterText(text, outer=True, asked=dialect) for text in query.where),
    )
    over_all = replace(scope, keys=())
    pairs = [(item, metric) for item, metric in zip(query.metrics, metrics, strict=True)]
    return Metrics(
        keys,
        tuple(Output(item.column, _query_term(scope, metric, item.over, filters)) for item, metric in pairs),
        tuple(Output(item.column, _total(over_all, metric, item.over, filters)) for item, metric in pairs)
        if query.totals
        else (),
        having=tuple(graph.texts.result_filter(text, available, dialect) for text in query.having),
        order=make_orders(graph, query.order_by, keys, names, metrics),
        limit=query.limit,
    )


def _query_term(scope: Scope, metric: Metric, over: Over | None, filters: Filters) -> Term:
    term = scope.term(metric, filters)
    return _over(scope, metric, over, term) if over else term


def _total(scope: Scope, metric: Metric, over: Over | None, filters: Filters) -> Term:
    """The term over all groups and times at once. Raises QueryError (G319) if the metric needs a time."""
    try:
        return _query_term(scope, metric, over, filters)
    except QueryError as error:
        if error.code != "G319":
            raise
        message = f"metric {metric.name!r} has no total: it is computed for each time, and a total is over all times"
        raise QueryError("G319", message, hint="omit --totals, or ask for this metric by itself") from None


def _over(scope: Scope, metric: Metric, over: Over, term: Term) -> Term:
    """A term over the time before each moment: first its aggregates over that time, then its formula."""
    match term:
        case Leaf():
            _refuse_finer(scope.graph, metric, over, term)
            return scope.trailing(metric, term, over.window, over.grain_to_date, "last")
        case Formula(inputs=inputs):
            return replace(term, inputs=tuple((handle, _over(scope, metric, over, t)) for handle, t in inputs))
        case _:
            raise QueryError(
                "G326",
                f"metric {metric.name!r} has a window by its own definition, so it cannot have another",
                hint="ask for the simple metrics that it is computed from",
                about=About("metric", metric.name),
            )


def _refuse_finer(graph: Graph, metric: Metric, over: Over, leaf: Leaf) -> None:
    """Raises QueryError (G313): the last three hours of daily data would really be a whole day."""
    own = graph.time_dimension(leaf.measure).grain or "day"
    unit = over.grain_to_date or (over.window.unit if over.window else None)
    if unit is not None and finer(unit, own):
        raise QueryError(
            "G313",
            f"metric {metric.name!r} has the grain {own}, so it cannot be computed over "
            f"{over.window or f'the {over.grain_to_date} to date'}",
            hint=f"use whole {own}s, as {metric.name}[1 {own}]",
        )
