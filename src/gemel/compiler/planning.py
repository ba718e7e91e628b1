"""A resolved query to a plan. Every leaf is planned by itself, plainly; sharing work between leaves is tidying."""

import datetime as dt
from collections.abc import Callable, Iterable
from typing import assert_never

from sqlglot import exp

from gemel.compiler.algebra import (
    Aggregate,
    Combine,
    Derive,
    Distinct,
    Filter,
    Lookup,
    Named,
    Plan,
    Scan,
    Summary,
    Top,
)
from gemel.compiler.expressions import Refused, bound, column, parse_expression, qualify, substitute
from gemel.compiler.graph import Attribute, Graph
from gemel.compiler.query import Item, MetricItem
from gemel.compiler.resolution import (
    Formula,
    Key,
    Leaf,
    Metrics,
    Output,
    PerEntity,
    Predicate,
    Resolved,
    Span,
    Term,
    Values,
)
from gemel.errors import About, DefinitionError
from gemel.spec.manifest import Dimension, SemanticModel, TimeSpine
from gemel.spec.time import GRAINS


def plan(graph: Graph, resolved: Resolved) -> Plan:
    match resolved:
        case Metrics():
            return _plan_metrics(graph, resolved)
        case Values():
            return _plan_values(graph, resolved)
        case _:
            assert_never(resolved)


def _plan_metrics(graph: Graph, resolved: Metrics) -> Plan:
    leaves = tuple(dict.fromkeys(leaf for output in resolved.outputs for leaf in leaves_of(output.term)))
    names = leaf_names(leaves)
    keys = tuple(key.name for key in resolved.keys)
    parts = tuple(_plan_leaf(graph, leaf, names[leaf]) for leaf in leaves)
    joined: Plan = parts[0] if len(parts) == 1 else Combine(parts, keys)
    outputs = [Named(key, column(key)) for key in keys]
    outputs += [Named(output.name, _value(output.term, names)) for output in resolved.outputs]
    result: Plan = Derive(joined, tuple(outputs))
    for predicate in resolved.having:
        result = Filter(result, predicate)
    return _top(result, resolved.order, resolved.limit)


def _top(result: Plan, order: tuple[tuple[str, bool], ...], limit: int | None) -> Plan:
    return Top(result, order, limit) if order or limit is not None else result


def leaves_of(term: Term) -> Iterable[Leaf]:
    match term:
        case Leaf():
            yield term
        case Formula(inputs=inputs):
            for _, inner in inputs:
                yield from leaves_of(inner)


def leaf_names(leaves: tuple[Leaf, ...]) -> dict[Leaf, str]:
    """A column name for each leaf: its measure's, numbered where one measure is used under different filters."""
    names: dict[Leaf, str] = {}
    for leaf in leaves:
        name, number = leaf.measure.name, 1
        while name in names.values() or any(name == key.name for key, _ in leaf.keys):
            number += 1
            name = f"{leaf.measure.name}_{number}"
        names[leaf] = name
    return names


def _value(term: Term, names: dict[Leaf, str]) -> exp.Expr:
    match term:
        case Leaf():
            value: exp.Expr = column(names[term])
            if term.fill is not None:
                value = exp.Coalesce(this=value, expressions=[exp.Literal.number(term.fill)])
            return value
        case Formula(expression, inputs):
            return substitute(expression, {handle: _value(inner, names) for handle, inner in inputs})
        case _:
            assert_never(term)


def _plan_leaf(graph: Graph, leaf: Leaf, name: str) -> Plan:
    facts = Facts(graph, graph.models[leaf.measure.model], leaf.time)
    keys = tuple(Named(key.name, facts.value(attribute)) for key, attribute in leaf.keys)
    predicates = [facts.predicate(predicate) for predicate in leaf.filters]
    predicates += within(facts.moment(), leaf.span)
    measured = facts.measured(leaf)
    rows = facts.rows
    for predicate in predicates:
        rows = Filter(rows, predicate)
    result: Plan = Aggregate(rows, keys, (summary(leaf, name, measured),))
    return _over_spine(graph, leaf, name, result) if leaf.spine else result


def summary(leaf: Leaf, name: str, measured: exp.Expr) -> Summary:
    measure = leaf.measure
    if measure.percentile is None:
        return Summary(name, measure.agg, measured)
    kind = "discrete" if measure.percentile.discrete else "continuous"
    approximate = "approximate_" if measure.percentile.approximate else ""
    return Summary(name, f"{approximate}{kind}_percentile", measured, fraction=measure.percentile.fraction)


def _over_spine(graph: Graph, leaf: Leaf, name: str, result: Plan) -> Plan:
    """Every bucket of the time spine, with the leaf's value where it has one. Other keys are NULL in empty buckets."""
    times = [(key, a) for key, a in leaf.keys if a.element == leaf.time.element and not a.hops]
    grains = [key.grain for key, _ in times if key.grain]
    finest = min(grains, key=lambda grain: GRAINS.index(graph.grain_of(grain)), default="day")
    spine = graph.spine(finest)
    source = Scan(spine.relation, "spine")
    day = column(spine.column, "spine")
    rows: Plan = source
    for condition in within(day, leaf.span):
        rows = Filter(rows, condition)
    for predicate in _only_time(leaf):
        rows = Filter(rows, bound(predicate.template, _on_spine(spine, predicate)))
    buckets = Distinct(rows, tuple(Named(key.name, spine_value(spine, key)) for key, _ in times))
    first = times[0][0].name
    joined = Lookup(
        Scan(buckets, "spine"),
        Scan(result, "facts"),
        exp.and_(*(exp.EQ(this=column(key.name, "spine"), expression=column(key.name, "facts")) for key, _ in times))
        if len(times) > 1
        else exp.EQ(this=column(first, "spine"), expression=column(first, "facts")),
    )
    on_spine = {key.name for key, _ in times}
    outputs = [Named(key.name, column(key.name, "spine" if key.name in on_spine else "facts")) for key, _ in leaf.keys]
    return Derive(joined, (*outputs, Named(name, column(name, "facts"))))


def _only_time(leaf: Leaf) -> list[Predicate]:
    """The filters that speak of nothing but the leaf's own time: they bound the spine as well as the facts."""
    return [
        predicate
        for predicate in leaf.filters
        if predicate.operands
        and all(isinstance(o, Attribute) and o.element == leaf.time.element and not o.hops for o in predicate.operands)
    ]


def _on_spine(spine: TimeSpine, predicate: Predicate) -> Callable[[Item | MetricItem], exp.Expr]:
    operands = iter(predicate.operands)

    def bind(_: Item | MetricItem) -> exp.Expr:
        operand = next(operands)
        assert isinstance(operand, Attribute)
        return truncated(column(spine.column, "spine"), operand.grain, operand.part)

    return bind


def spine_value(spine: TimeSpine, key: Key) -> exp.Expr:
    """A time key as a column of the spine: a custom grain is a column there, a standard one is truncated."""
    custom = dict(spine.custom)
    if key.grain in custom:
        return column(custom[key.grain], "spine")
    return truncated(column(spine.column, "spine"), key.grain, key.part)


def within(moment: exp.Expr, span: Span | None) -> list[exp.Expr]:
    """The conditions for a moment to be in a span."""
    conditions: list[exp.Expr] = []
    if span and span.start:
        conditions.append(exp.GTE(this=moment.copy(), expression=timestamp(span.start)))
    if span and span.end:
        conditions.append(exp.LT(this=moment.copy(), expression=timestamp(span.end)))
    return conditions


def timestamp(moment: dt.datetime) -> exp.Expr:
    """A moment as a literal: a date where it is midnight, so that it compares with dates and timestamps alike."""
    if moment.time() == dt.time.min:
        return exp.cast(exp.Literal.string(moment.date().isoformat()), exp.DataType.Type.DATE)
    return exp.cast(exp.Literal.string(moment.isoformat(sep=" ")), exp.DataType.Type.TIMESTAMP)


def truncated(value: exp.Expr, grain: str | None, part: str | None) -> exp.Expr:
    """A time at a standard grain or as a date part; the day of the week is ISO's, Monday 1 to Sunday 7."""
    if part:
        unit = {"dow": "ISODOW", "doy": "DOY"}.get(part, part.upper())
        return exp.Extract(this=exp.var(unit), expression=value)
    if grain is None:
        return value
    return exp.TimestampTrunc(this=value, unit=exp.var(grain.upper()))


class Facts:
    """The rows of one semantic model, joined as far as what is asked of them needs. Grows while a leaf is planned."""

    def __init__(self, graph: Graph, home: SemanticModel, time: Attribute | None) -> None:
        self.graph = graph
        self.home = home
        self.time = time
        self.alias = home.name
        self.rows: Plan = Scan(home.relation, self.alias)
        self._joined: dict[str, object] = {}

    def measured(self, leaf: Leaf) -> exp.Expr:
        measure = leaf.measure
        return expression(measure.expr, self.alias, About("semantic_model", self.home.name, measure.name))

    def moment(self) -> exp.Expr:
        """The time by which the facts are placed, as it stands in the table."""
        assert self.time is not None
        return self._column(self.time)

    def value(self, attribute: Attribute) -> exp.Expr:
        """An attribute of the facts at its grain; joins what it needs."""
        if attribute.grain is not None and attribute.grain in self.graph.custom_grains:
            return self._custom(attribute, attribute.grain)
        return truncated(self._column(attribute), attribute.grain, attribute.part)

    def predicate(self, predicate: Predicate) -> exp.Expr:
        operands = iter(predicate.operands)

        def bind(_: Item | MetricItem) -> exp.Expr:
            operand = next(operands)
            return self._per_entity(operand) if isinstance(operand, PerEntity) else self.value(operand)

        return bound(predicate.template, bind)

    def _column(self, attribute: Attribute) -> exp.Expr:
        alias, model = self.alias, self.home
        path: list[str] = []
        for hop in attribute.hops:
            right = self.graph.models[hop.model]
            path.append(hop.entity)
            alias, model = self._join(alias, model, hop.entity, right, path), right
        return expression(attribute.element.expr, alias, About("semantic_model", model.name, attribute.element.name))

    def _join(self, left_alias: str, left: SemanticModel, entity: str, right: SemanticModel, path: list[str]) -> str:
        alias = "__".join(path)
        if alias == self.alias or len(self.graph.keyed(entity)) > 1:
            alias = f"{alias}__{right.name}" if right.name != alias else f"{alias}__"
        if alias not in self._joined:
            on: list[exp.Expr] = [
                exp.EQ(this=self._key(left, entity, left_alias), expression=self._key(right, entity, alias))
            ]
            on += self._partitions(left, left_alias, right, alias) + self._valid(right, alias)
            self.rows = Lookup(self.rows, Scan(right.relation, alias), exp.and_(*on) if len(on) > 1 else on[0])
            self._joined[alias] = right.name
        return alias

    def _key(self, model: SemanticModel, entity: str, alias: str) -> exp.Expr:
        found = self.graph.entity(model.name, entity)
        assert found is not None
        return expression(found.expr, alias, About("semantic_model", model.name, entity))

    def _partitions(self, left: SemanticModel, left_alias: str, right: SemanticModel, alias: str) -> list[exp.Expr]:
        """Tables cut into the same partitions meet partition by partition."""
        theirs = {d.name: d for d in right.dimensions if d.is_partition}
        return [
            exp.EQ(
                this=self._dimension(left, own, left_alias), expression=self._dimension(right, theirs[own.name], alias)
            )
            for own in left.dimensions
            if own.is_partition and own.name in theirs
        ]

    def _valid(self, right: SemanticModel, alias: str) -> list[exp.Expr]:
        """Of a model with a history, the row that held at the time of the fact."""
        if not self.graph.has_validity(right.name):
            return []
        assert self.time is not None and isinstance(self.time.element, Dimension)
        moment = truncated(self.moment(), self.time.element.grain, None)
        conditions: list[exp.Expr] = []
        for dimension in right.dimensions:
            edge = truncated(self._dimension(right, dimension, alias), dimension.grain, None)
            if dimension.validity == "start":
                conditions.append(exp.GTE(this=moment.copy(), expression=edge))
            elif dimension.validity == "end":
                open_ended = exp.Is(this=edge.copy(), expression=exp.null())
                conditions.append(exp.paren(exp.or_(exp.LT(this=moment.copy(), expression=edge), open_ended)))
        return conditions

    def _dimension(self, model: SemanticModel, dimension: Dimension, alias: str) -> exp.Expr:
        return expression(dimension.expr, alias, About("semantic_model", model.name, dimension.name))

    def _custom(self, attribute: Attribute, grain: str) -> exp.Expr:
        """A custom grain: the column of its time spine, found by the standard grain that the spine has rows for."""
        spine = self.graph.custom_grains[grain]
        base = truncated(self._column(attribute), spine.grain, None)
        name = "__".join((*(hop.entity for hop in attribute.hops), attribute.element.name))
        alias = f"{name}__spine"
        if alias not in self._joined:
            on = exp.EQ(this=base, expression=column(spine.column, alias))
            self.rows = Lookup(self.rows, Scan(spine.relation, alias), on)
            self._joined[alias] = grain
        return column(dict(spine.custom)[grain], alias)

    def _per_entity(self, operand: PerEntity) -> exp.Expr:
        """A metric's value for the entity of each fact: a lookup in the metric computed for all entities."""
        keys = [key.name for key in operand.keys]
        inner = _plan_metrics(self.graph, Metrics(operand.keys, (Output("value", operand.term),)))
        values = [self.value(attribute) for attribute in operand.attributes]
        alias = "__".join(("per", *keys))
        while self._joined.get(alias, inner) != inner:
            alias += "_"
        if alias not in self._joined:
            on = [exp.EQ(this=value, expression=column(key, alias)) for key, value in zip(keys, values, strict=True)]
            self.rows = Lookup(self.rows, Scan(inner, alias), exp.and_(*on) if len(on) > 1 else on[0])
            self._joined[alias] = inner
        return column("value", alias)


def expression(text: str, alias: str, about: About) -> exp.Expr:
    try:
        return qualify(parse_expression(text), alias)
    except Refused as refused:
        raise DefinitionError("G105", f"the expr of {about.element!r}: {refused}", about=about) from None


def _plan_values(graph: Graph, resolved: Values) -> Plan:
    keys: tuple[Named, ...]
    if resolved.home is None:
        finest = min(
            (key.grain for key, _ in resolved.keys if key.grain),
            key=lambda g: GRAINS.index(graph.grain_of(g)),
            default="day",
        )
        spine = graph.spine(finest)
        rows: Plan = Scan(spine.relation, "spine")
        keys = tuple(Named(key.name, spine_value(spine, key)) for key, _ in resolved.keys)
        moment: exp.Expr = column(spine.column, "spine")
        predicates: list[exp.Expr] = []
    else:
        facts = Facts(graph, resolved.home, resolved.time)
        keys = tuple(Named(key.name, facts.value(a)) for key, a in resolved.keys if a is not None)
        predicates = [facts.predicate(predicate) for predicate in resolved.filters]
        moment = facts.moment() if resolved.span else exp.null()
        rows = facts.rows
    for predicate in [*predicates, *within(moment, resolved.span)]:
        rows = Filter(rows, predicate)
    if resolved.min_max_only:
        sides = [Summary(f"{key.name}__{side}", side, key.value) for key in keys for side in ("min", "max")]
        return _top(Aggregate(rows, (), tuple(sides)), (), resolved.limit)
    return _top(Distinct(rows, keys), resolved.order, resolved.limit)
