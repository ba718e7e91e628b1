"""A resolved query to a plan. Every cell is planned by itself; `rewrites` then shares work between cells."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from typing import assert_never

from sqlglot import exp

from gemel.compiler.names.graph import Attribute, Graph
from gemel.compiler.names.terms import (
    TOTAL,
    Converted,
    Formula,
    Key,
    Leaf,
    Metrics,
    Output,
    PerEntity,
    Resolved,
    Shifted,
    Term,
    Trailing,
    Values,
)
from gemel.compiler.plan.algebra import (
    Aggregate,
    Combine,
    Derive,
    Distinct,
    Filter,
    Join,
    Named,
    Plan,
    Scan,
    Stack,
    Summary,
    Top,
)
from gemel.compiler.plan.events import plan_converted
from gemel.compiler.plan.facts import Facts, filtered, within
from gemel.compiler.plan.parts import summary
from gemel.compiler.plan.shifts import plan_shifted_leaf, shift
from gemel.compiler.plan.spines import buckets, looked_up, over_spine, spine_for, spine_rows, spine_value
from gemel.compiler.plan.trailing import plan_trailing
from gemel.compiler.question.expressions import bound, column, filled, free, substitute
from gemel.compiler.question.verbatim import Verbatim, as_read


def plan(graph: Graph, resolved: Resolved) -> Plan:
    match resolved:
        case Metrics():
            return _plan_metrics(graph, resolved)
        case Values():
            return _plan_values(graph, resolved)
        case _:
            assert_never(resolved)


def _plan_metrics(graph: Graph, resolved: Metrics) -> Plan:
    result: Plan = plan_outputs(graph, resolved.keys, resolved.outputs)
    for predicate in resolved.having:
        result = Filter(result, predicate)
    # With totals, the order of the groups matters only if a limit selects some of them.
    order = resolved.order if not resolved.totals or resolved.limit is not None else ()
    result = _top(result, order, resolved.limit)
    return _with_totals(graph, resolved, result) if resolved.totals else result


def _with_totals(graph: Graph, resolved: Metrics, groups: Plan) -> Plan:
    """The groups, then one row over all of them."""
    names = [output.name for output in resolved.outputs]
    keys = [key.name for key in resolved.keys]
    marked = Derive(
        Scan(groups, "groups"), (*(Named(n, column(n, "groups")) for n in keys + names), _mark_total(False))
    )
    over_all = Scan(plan_outputs(graph, (), resolved.totals), "totals")
    total = Derive(
        over_all,
        (*(Named(key, exp.null()) for key in keys), *(Named(n, column(n, "totals")) for n in names), _mark_total(True)),
    )
    return Top(Stack((marked, total)), ((TOTAL, False), *resolved.order))


def _mark_total(is_total: bool) -> Named:
    return Named(TOTAL, exp.true() if is_total else exp.false())


def _top(result: Plan, order: tuple[tuple[str, bool], ...], limit: int | None) -> Plan:
    return Top(result, order, limit) if order or limit is not None else result


def plan_outputs(graph: Graph, keys: tuple[Key, ...], outputs: tuple[Output, ...]) -> Derive:
    """Terms by common keys, side by side."""
    if len(outputs) > 1 and not all(is_nothing(output.term) for output in outputs):
        return _plan_apart(graph, keys, outputs)
    cells = tuple(dict.fromkeys(cell for output in outputs for cell in cells_of(output.term)))
    names = cell_names(cells, keys, {output.term: output.name for output in outputs})
    parts = tuple(_plan_cell(graph, cell, names[cell], keys) for cell in cells)
    combined: Plan = parts[0] if len(parts) == 1 else Combine(parts, tuple(key.name for key in keys))
    columns = [Named(key.name, column(key.name)) for key in keys]
    return Derive(combined, (*columns, *(Named(output.name, value_of(output.term, names)) for output in outputs)))


def _plan_apart(graph: Graph, keys: tuple[Key, ...], outputs: tuple[Output, ...]) -> Derive:
    """Outputs, some of which would have a value in groups without any of their facts. Those are computed separately."""
    together = tuple(output for output in outputs if is_nothing(output.term))
    apart = [(output,) for output in outputs if output not in together]
    plans = [plan_outputs(graph, keys, group) for group in ([together] if together else []) + apart]
    combined = Combine(tuple(plans), tuple(key.name for key in keys))
    columns = [Named(key.name, column(key.name)) for key in keys]
    values = [Named(output.name, filled(column(output.name), output.term.fill)) for output in outputs]
    return Derive(combined, (*columns, *values))


def is_nothing(term: Term) -> bool:
    """Whether a term stays NULL in groups where other facts have rows and its own have none.

    A filled leaf that is itself an output is filled in every group of the query. Inside a formula, the fill would give
    the formula a value without facts.
    """
    if not isinstance(term, Formula):
        return True
    nodes = [*term.expression.walk()]
    if any(isinstance(node, Verbatim) for node in nodes):
        nodes = [*as_read(term.expression).walk()]
    called = {node.name for node in nodes if isinstance(node, exp.Column)}
    return all(isinstance(node, _STRICT) for node in nodes) and any(
        is_nothing(inner) and inner.fill is None for handle, inner in term.inputs if handle in called
    )


_STRICT = (exp.Column, exp.Identifier, exp.Literal, exp.Paren, exp.Neg, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Nullif)


def cells_of(term: Term) -> list[Term]:
    """The cells that a term is computed from, in order. An inner formula that is not NULL without facts is one cell."""
    if not isinstance(term, Formula):
        return [term]
    cells: list[Term] = []
    for _, inner in term.inputs:
        cells += [inner] if len(term.inputs) > 1 and not is_nothing(inner) else cells_of(inner)
    return cells


def cell_names(
    cells: Sequence[Term], keys: tuple[Key, ...] = (), outputs: Mapping[Term, str] | None = None
) -> dict[Term, str]:
    """A column name for each cell: that of its output or of its measure, numbered if it is already used."""
    names: dict[Term, str] = {cell: outputs[cell] for cell in cells if outputs and cell in outputs}
    used = {key.name for key in keys} | {*names.values()}
    for cell in cells:
        if cell in names:
            continue
        names[cell] = free(cell.title, used)
        used.add(names[cell])
    return names


def value_of(term: Term, names: dict[Term, str]) -> exp.Expr:
    """A term over the columns of its cells."""
    match term:
        case Formula(expression, inputs):
            if term in names:
                return column(names[term])
            return substitute(expression, {handle: value_of(inner, names) for handle, inner in inputs})
        case _:
            return filled(column(names[term]), term.fill)


def _plan_cell(graph: Graph, cell: Term, name: str, keys: tuple[Key, ...]) -> Plan:
    match cell:
        case Formula():
            return plan_outputs(graph, keys, (Output(name, cell),))
        case Leaf():
            return _plan_leaf(graph, cell, name)
        case Trailing():
            return plan_trailing(facts_of(graph, cell.leaf), cell, name)
        case Shifted(term=Leaf() as leaf):
            return plan_shifted_leaf(facts_of(graph, leaf), cell, leaf, name)
        case Shifted(term=Trailing() as trailing):
            return plan_trailing(facts_of(graph, trailing.leaf), trailing, name, cell)
        case Shifted():
            inner = plan_outputs(graph, cell.keys, (Output(name, cell.term),))
            return shift(graph, cell, inner, name)
        case Converted():
            return plan_converted(facts_of(graph, cell.base), facts_of(graph, cell.conversion), cell, name)
        case _:
            assert_never(cell)


def facts_of(graph: Graph, leaf: Leaf) -> Facts:
    return Facts(graph, graph.models[leaf.measure.model], leaf.time, partial(_plan_per_entity, graph))


def _plan_per_entity(graph: Graph, operand: PerEntity) -> Plan:
    return plan_outputs(graph, operand.keys, (Output(operand.name, operand.term),))


def _plan_leaf(graph: Graph, leaf: Leaf, name: str) -> Plan:
    facts = facts_of(graph, leaf)
    value = partial(looked_up, facts, leaf) if leaf.spine else facts.operand
    keys = tuple(Named(key.name, value(attribute)) for key, attribute in leaf.keys)
    rows = facts.where(leaf.filters, leaf.span)
    rows = facts.boundary(rows, leaf)
    result = Aggregate(rows, keys, (summary(leaf, name, facts.measured(leaf)),))
    return over_spine(graph, leaf, name, result) if leaf.spine else result


def _plan_values(graph: Graph, resolved: Values) -> Plan:
    operands = [*resolved.keys, *(operand for condition in resolved.filters for operand in condition.operands)]
    pairs = [operand for operand in operands if not isinstance(operand, PerEntity)]
    times = tuple(dict.fromkeys(key for key, attribute in pairs if attribute is None))
    spine = spine_for(graph, times) if times else None
    facts = Facts(graph, resolved.home, None, partial(_plan_per_entity, graph)) if resolved.home else None

    def value(operand: tuple[Key, Attribute | None] | PerEntity) -> exp.Expr:
        if isinstance(operand, PerEntity):
            assert facts is not None
            return facts.operand(operand)
        key, attribute = operand
        if facts is not None:
            return facts.value(attribute) if attribute is not None else column(key.name, "spine")
        assert spine is not None
        return spine_value(graph, spine, key)

    keys = tuple(Named(operand[0].name, value(operand)) for operand in resolved.keys)
    conditions = [bound(c.template, list(map(value, c.operands))) for c in resolved.filters]
    if facts is not None:
        rows = facts.meeting()
        if spine:
            moments = buckets(graph, spine, times, resolved.span)
            rows = Join(rows, Scan(moments, "spine"), exp.true(), "inner")
    else:
        assert spine is not None
        rows = spine_rows(graph, spine, times)
        conditions += within(column(spine.column, "spine"), resolved.span)
    rows = filtered(rows, conditions)
    if resolved.min_max_only:
        sides = [(Summary(f"{k.name}__min", "min", k.value), Summary(f"{k.name}__max", "max", k.value)) for k in keys]
        return _top(Aggregate(rows, (), tuple(chain(*sides))), (), resolved.limit)
    return _top(Distinct(rows, keys), resolved.order, resolved.limit)
