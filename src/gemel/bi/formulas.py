"""The metrics of a semantic model as plain SQL over the columns of its wide view, or the reason why one has no formula.

The wide view has one row for each row of the model, so an aggregate over it, grouped by any of its columns, is the
metric. The values of a measure are a column; with a filter they are another column, NULL on the rows that the filter
drops. Formulas therefore need no filter. A group without a row that counts is NULL, where a query has no row.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Literal, NoReturn

from sqlglot import exp

from gemel.compiler.names import terms
from gemel.compiler.names.graph import Attribute, Graph
from gemel.compiler.names.scopes import Scope
from gemel.compiler.names.terms import Leaf, PerEntity, Term
from gemel.compiler.plan.parts import summary
from gemel.compiler.plan.planning import is_nothing
from gemel.compiler.question.expressions import column, filled, free, substitute
from gemel.compiler.sql.aggregates import aggregate
from gemel.errors import GemelError
from gemel.spec.manifest import Dimension
from gemel.spec.metrics import Measure, Metric


@dataclass(frozen=True, slots=True)
class Input:
    """A column of the wide view to aggregate: the values of the measure of `leaf`, NULL on rows that its filters drop.
    Of a count, 1 on a row with a value and 0 on one without. With `rows`, 1 on each row that the filters keep.
    """

    name: str
    leaf: Leaf
    holds: Literal["value", "rows"] = "value"


@dataclass(frozen=True, slots=True)
class Formula:
    """A metric as an expression over columns of the wide view, each named by one of `inputs`: `SUM(x) / SUM(y)`.

    `time` is the dimension of the model that is the metric's `metric_time`.
    """

    metric: Metric
    expression: exp.Expr
    inputs: tuple[Input, ...]
    time: Dimension


@dataclass(frozen=True, slots=True)
class NoFormula:
    """A metric that is not a plain aggregate over the wide view, and why: `it accumulates over 7 days`."""

    metric: Metric
    reason: str


@dataclass(frozen=True, slots=True)
class Formulas:
    """Every metric that reads a semantic model, by name, and the columns that the formulas aggregate."""

    model: str
    inputs: tuple[Input, ...]
    metrics: tuple[Formula | NoFormula, ...]

    def of(self, metric: str) -> Formula | NoFormula:
        return next(each for each in self.metrics if each.metric.name == metric)


def formula_of(graph: Graph, metric: str) -> Formula | NoFormula:
    """One metric over the wide view of its semantic model. Raises UnknownNameError (G201)."""
    name = graph.metric(metric).name
    return formulas_of(graph, graph.measures(graph.metric(metric))[0].model).of(name)


def formulas_of(graph: Graph, model: str) -> Formulas:
    """The metrics over the wide view of a semantic model."""
    metrics = _readers(graph, model)
    names = {"__".join(segments) for segments in graph.attributes(model, 1)}
    names |= {f"{entity}__{part}" for entity, parts in graph.composites.items() for part in parts}
    columns = _Columns(names)
    for measure in dict.fromkeys(m for metric in metrics for m in graph.measures(metric) if m.model == model):
        if measure.non_additive is None:
            leaf = Leaf(measure, Attribute(model, (), graph.time_dimension(measure)), (), ())
            columns.add(leaf, measure.name if _is_metric_of_its_name(graph, measure) else f"{measure.name}__measure")
    public = [metric for metric in metrics if not metric.private]
    # Inputs come before the metrics that use them, so columns are named after inputs.
    formulas = [_formula(graph, metric, columns) for metric in sorted(public, key=lambda each: _order(graph, each))]
    return Formulas(model, tuple(columns.inputs()), tuple(sorted(formulas, key=lambda each: each.metric.name)))


def time_of(graph: Graph, model: str) -> Dimension | None:
    """The time by which the wide view looks up histories: the default of the model, else that of its measures."""
    default = graph.dimension(model, graph.models[model].default_time_dimension or "")
    if default is not None and default.is_time:
        return default
    measures = [measure for metric in _readers(graph, model) for measure in graph.measures(metric)]
    return next((graph.time_dimension(measure) for measure in measures if measure.model == model), None)


def _is_metric_of_its_name(graph: Graph, measure: Measure) -> bool:
    """Whether a column named like a metric is that metric: readers assume it, with its filter, for example."""
    metric = graph.metrics.get(measure.name)
    return metric is None or (metric.definition.measure == measure and not metric.filters)


def _readers(graph: Graph, model: str) -> list[Metric]:
    """By name, because the order in which dbt writes metrics changes with partial parsing."""
    metrics = (metric for metric in graph.manifest.metrics if _reads(graph, metric, model))
    return sorted(metrics, key=lambda metric: metric.name)


class _Columns:
    """The columns to aggregate, by their content."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = set(names)
        self._inputs: dict[tuple[Leaf, str], Input] = {}

    def add(self, leaf: Leaf, wanted: str, holds: Literal["value", "rows"] = "value") -> Input:
        """The column of an aggregate, the same for leaves that differ only in their fill or the origin of filters."""
        filters = dict.fromkeys(replace(each, outer=False) for each in leaf.filters)
        bare = replace(leaf, filters=tuple(filters), fill=None)
        if (bare, holds) not in self._inputs:
            name = free(wanted, self._names)
            self._names.add(name)
            self._inputs[bare, holds] = Input(name, bare, holds)
        return self._inputs[bare, holds]

    def inputs(self) -> Iterator[Input]:
        yield from self._inputs.values()


def _reads(graph: Graph, metric: Metric, model: str) -> bool:
    try:
        return any(measure.model == model for measure in graph.measures(metric))
    except GemelError:  # a circle, which `gemel validate` reports
        return False


def _order(graph: Graph, metric: Metric) -> tuple[int, str]:
    return _depth(graph, metric), metric.name


def _depth(graph: Graph, metric: Metric) -> int:
    inner = (graph.input_metric(used, by=metric.name) for used in metric.definition.inputs)
    return 1 + max((_depth(graph, each) for each in inner), default=0)


def _formula(graph: Graph, metric: Metric, columns: _Columns) -> Formula | NoFormula:
    try:
        reason = _no_aggregate(graph, metric) or _no_one_time(graph, metric)
        if reason is not None:
            return NoFormula(metric, reason)
        term = Scope(graph, (), None, [metric]).term(metric, ())
    except GemelError as error:
        return NoFormula(metric, f"{error.code} {error.message}")
    reason = _not_in_rows(term)
    if reason is not None:
        return NoFormula(metric, reason)
    used: dict[Input, None] = {}
    expression = _build_expression(term, metric.name, columns, used)
    return Formula(metric, expression, tuple(used), graph.time_dimension(graph.measures(metric)[0]))


def _no_aggregate(graph: Graph, metric: Metric) -> str | None:
    """Why the definition of a metric is more than aggregates of the rows of a group."""
    definition = metric.definition
    if definition.beyond_rows is not None:
        return f"{metric.name} {definition.beyond_rows}"
    reasons = (_no_aggregate(graph, graph.input_metric(used, by=metric.name)) for used in definition.inputs)
    return next((reason for reason in reasons if reason), None)


def _no_one_time(graph: Graph, metric: Metric) -> str | None:
    """Why one view, with one time, does not hold all inputs of a metric."""
    measures = graph.measures(metric)
    models = dict.fromkeys(measure.model for measure in measures)
    if len(models) > 1:
        return f"{metric.name} combines facts of several semantic models: {', '.join(models)}"
    times = dict.fromkeys(graph.time_dimension(measure).name for measure in measures)
    if len(times) > 1:
        return f"{metric.name} combines facts with different times: {', '.join(times)}"
    [model] = models
    own, shown = graph.time_dimension(measures[0]), time_of(graph, model)
    if own != shown and _leads_to_history(graph, model):
        looked_up = shown.name if shown else "none"
        return f"{metric.name} looks up histories by {own.name}, but the view by {looked_up}"
    return None


def _leads_to_history(graph: Graph, model: str) -> bool:
    reached, border = {model}, [model]
    while border:
        border = [hop.model for each in border for hop in graph.ways.hops(each) if hop.model not in reached]
        reached.update(border)
    return any(graph.ways.has_validity(each) for each in reached - {model})


def _not_in_rows(term: Term) -> str | None:
    match term:
        case Leaf(filters=filters):
            metrics = [each.name for predicate in filters for each in predicate.operands if isinstance(each, PerEntity)]
            return f"it is filtered by metric {metrics[0]}, which is computed over all rows" if metrics else None
        case terms.Formula(inputs=used):
            # If one input has no filter, every group of the view is a group of the metric too.
            if not is_nothing(term) and all(leaf.filters for leaf in leaves(term)):
                return "its expression gives groups without facts a value, and no column shows which groups those are"
            return next((reason for _, inner in used if (reason := _not_in_rows(inner))), None)
        case _:
            raise AssertionError(f"no aggregate of rows: {term}")


def leaves(term: Term) -> Iterator[Leaf]:
    """The aggregates of rows in a term."""
    match term:
        case Leaf():
            yield term
        case terms.Formula(inputs=used):
            for _, inner in used:
                yield from leaves(inner)


def _build_expression(term: Term, name: str, columns: _Columns, used: dict[Input, None]) -> exp.Expr:
    """A term over the columns of the view, collected in `used`. `name` is for a column that does not exist yet."""
    match term:
        case Leaf():
            return filled(_aggregate(term, name, columns, used), term.fill)
        case terms.Formula(expression, parts):
            values = {handle: _build_expression(inner, f"{name}__{handle}", columns, used) for handle, inner in parts}
            return substitute(expression, values)
        case _:
            raise AssertionError(f"no aggregate of rows: {term}")


def _aggregate(leaf: Leaf, name: str, columns: _Columns, used: dict[Input, None]) -> exp.Expr:
    item = columns.add(leaf, leaf.measure.name if not leaf.filters else name)
    used[item] = None
    value = column(item.name)
    match leaf.measure.agg:
        case "count":  # a sum of ones and zeros, which over no rows is NULL and not 0
            return exp.Sum(this=value)
        case "count_distinct" if leaf.filters:
            rows = columns.add(leaf, f"{item.name}__rows", "rows")
            used[rows] = None
            some = exp.GT(this=exp.Count(this=column(rows.name), big_int=True), expression=exp.Literal.number(0))
            return exp.case().when(some, aggregate(summary(leaf, name, value), grouped=True))
        case _:
            return aggregate(summary(leaf, name, value), grouped=True)


def no_metric(operand: PerEntity) -> NoReturn:
    """Where the facts of formulas are planned."""
    raise AssertionError(f"no formula has a filter by metric {operand.name}")
