"""The groups of a metric test, with the metric's value and the values of the metrics it is compared with."""

from collections.abc import Sequence
from decimal import Decimal

from sqlglot import exp

from gemel.compiler.names.graph import METRIC_TIME, Graph
from gemel.compiler.names.resolution import resolve
from gemel.compiler.names.terms import Key, Metrics
from gemel.compiler.plan.algebra import Aggregate, Combine, Derive, Join, Named, Plan, Scan, Summary
from gemel.compiler.plan.planning import plan
from gemel.compiler.question.bounds import is_relative
from gemel.compiler.question.expressions import Refused, column, conjunction, free
from gemel.compiler.question.parsing import make_query, parse_item
from gemel.compiler.question.query import Item, QueryMetric
from gemel.errors import DefinitionError, did_you_mean
from gemel.spec.metric_tests import Compared, Comparison, Input, MetricTest


def plan_groups(graph: Graph, test: MetricTest) -> tuple[tuple[Key, ...], Plan, tuple[str, ...]]:
    """The keys of the groups; their plan, whose columns are the keys, the metric, and the metrics it is compared with;
    the names of the compared columns. A total stands beside each of its groups.

    Raises UnknownNameError, QueryError or DefinitionError (G773, G774).
    """
    mentioned = _find_inputs(graph, test)
    beside = [each for each in mentioned if each.filters is None and each.group_by is None and not each.sum_over]
    keys, main = _plan_query(graph, test, [QueryMetric(test.metric), *map(_metric, beside)], items(test), test.filters)
    names = tuple(key.name for key in keys)
    parts, totals = [main], []
    for each in mentioned:
        if each in beside:
            continue
        own, part = _input(graph, test, each)
        if not {*own} <= {*names}:
            other = ", ".join(name for name in own if name not in names)
            raise DefinitionError(
                "G774",
                f"{each.handle!r} is grouped by {other}, but the test is not",
                hint=f"add up its groups with sum_over: [{other}], or group the test by {other} too",
            )
        if {*own} == {*names}:
            parts.append(part)
        else:
            totals.append((each.handle, own, part))
    handles = tuple(each.handle for each in mentioned)
    if twins := [handle for handle in handles if handle in names]:
        raise DefinitionError("G774", f"{twins[0]!r} is a metric and a group of this test", hint="give it an alias")
    tested: Plan = Combine(tuple(parts), names) if len(parts) > 1 else main
    return keys, _join_totals(tested, names, (test.metric, *handles), totals) if totals else tested, handles


def _input(graph: Graph, test: MetricTest, each: Input) -> tuple[tuple[str, ...], Plan]:
    """A metric that the test's metric is compared with, by its own groups: their names, and the plan."""
    groups = [parse_item(item) for item in (each.group_by if each.group_by is not None else test.group_by)]
    kept = [*groups, *_time(test)]
    filters = each.filters if each.filters is not None else test.filters
    more = [parse_item(item) for item in each.sum_over]
    keys, part = _plan_query(graph, test, [_metric(each)], [*kept, *more], filters)
    if not more:
        return tuple(key.name for key in keys), part
    names = tuple(key.name for key in _plan_query(graph, test, [_metric(each)], kept, filters)[0])
    total = Summary(each.handle, "sum", column(each.handle, "grouped"))
    return names, Aggregate(Scan(part, "grouped"), tuple(Named(n, column(n, "grouped")) for n in names), (total,))


def _plan_query(
    graph: Graph, test: MetricTest, metrics: Sequence[QueryMetric], items: Sequence[Item], filters: Sequence[str]
) -> tuple[tuple[Key, ...], Plan]:
    """A query within the start and end time of the test, which apply to everything it compares."""
    for written in filter(is_relative, filter(None, (test.start_time, test.end_time))):
        message = f"{written!r} is another day each day, and dbt runs the test with the SQL of the day it was generated"
        raise DefinitionError("G773", message, hint="write a date, such as 2013-07-04")
    start, end = test.start_time, test.end_time
    query = make_query(metrics, items, trusted=filters, start=start, end=end, timezone=graph.timezone)
    resolved = resolve(graph, query)
    assert isinstance(resolved, Metrics)
    return resolved.keys, plan(graph, resolved)


def _metric(each: Input) -> QueryMetric:
    return QueryMetric(each.name, alias=each.handle)


def items(test: MetricTest) -> list[Item]:
    """What the test is grouped by; expected rows name it in their own order."""
    if isinstance(test.claim, Compared):
        return [*map(parse_item, test.group_by), *_time(test)]
    names = [name for name, _ in test.claim.rows[0].keys]
    return [item for name in names for item in (_time(test) if _is_time(test, name) else [parse_item(name)])]


def _time(test: MetricTest) -> list[Item]:
    return [Item((METRIC_TIME,), grain=test.grain)] if test.grain else []


def _is_time(test: MetricTest, name: str) -> bool:
    return bool(test.grain) and name == METRIC_TIME


def _join_totals(
    tested: Plan, names: tuple[str, ...], values: Sequence[str], totals: Sequence[tuple[str, tuple[str, ...], Plan]]
) -> Plan:
    rows: Plan = Scan(tested, "grouped")
    outputs = {name: column(name, "grouped") for name in (*names, *values)}
    for handle, own, part in totals:
        alias = free(handle, ("grouped",))
        # NULL-safe: a missing key is a group too, and has a total.
        same: list[exp.Expr] = [
            exp.NullSafeEQ(this=column(name, "grouped"), expression=column(name, alias)) for name in own
        ]
        rows = Join(rows, Scan(part, alias), conjunction(same) if same else exp.true(), "left" if same else "inner")
        outputs[handle] = column(handle, alias)
    return Derive(rows, tuple(Named(name, value) for name, value in outputs.items()))


def _find_inputs(graph: Graph, test: MetricTest) -> tuple[Input, ...]:
    """The metrics that the test's expressions mention, as the test describes them, or plain.

    Raises DefinitionError (G773) for a name that is not a metric, and for a metric that is described but not mentioned.
    """
    described = {each.handle: each for each in test.inputs}
    comparisons = test.claim.comparisons if isinstance(test.claim, Compared) else ()
    named = dict.fromkeys(name for each in comparisons for name in _names(graph, each))
    public = {name: metric for name, metric in graph.metrics.items() if not metric.private}
    for name in named:
        if name not in described and name not in public:
            candidates = [*described, *public]
            hint = did_you_mean(name, candidates) or "use metrics, or aliases of those under metrics:"
            raise DefinitionError("G773", f"{name!r} in the expression is not a metric", hint=hint)
    for handle in described:
        if handle not in named:
            message = f"{handle!r} is described under metrics, but no expression mentions it"
            raise DefinitionError(
                "G773", message, hint=did_you_mean(handle, named) or f"use {handle} in the expression"
            )
    return tuple(described.get(name) or Input(name, name) for name in named if name != test.metric)


def _names(graph: Graph, comparison: Comparison) -> list[str]:
    return [node.name.lower() for node in expression(graph, comparison).find_all(exp.Column)]


def expression(graph: Graph, comparison: Comparison) -> exp.Expr:
    """The bound that a value is compared with, over the names of metrics. Raises DefinitionError (G773)."""
    bound = comparison.bound
    if not isinstance(bound, str):
        return number(bound)
    message = f"{comparison.word} {bound[:80]!r} cannot be used"
    if any(mark in bound for mark in ("{{", "{%", "{#")):
        raise DefinitionError("G773", f"{message}: it contains template code", hint="write the plain names of metrics")
    try:
        tree = graph.texts.scalar(bound)
    except Refused as refused:
        raise DefinitionError("G773", f"{message}: {refused}", hint="write one expression over metrics") from None
    aggregates = tree.find(exp.AggFunc, exp.Window) is not None
    if aggregates or any(node.table for node in tree.find_all(exp.Column)):
        why = "it computes over many rows" if aggregates else "a metric has a plain name"
        hint = "describe totals of other groups under metrics:, with group_by or sum_over"
        raise DefinitionError("G773", f"{message}: {why}", hint=hint)
    return graph.texts.formula(bound, ()).copy()


def number(value: int | float) -> exp.Expr:
    literal = exp.Literal.number(format(Decimal(repr(abs(value))), "f"))
    return exp.Neg(this=literal) if value < 0 else literal
