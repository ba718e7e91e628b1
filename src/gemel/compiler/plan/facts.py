"""The rows of one semantic model, with the joins that a query needs."""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from sqlglot import exp

from gemel.compiler.names.graph import Attribute, Graph
from gemel.compiler.names.joins import Hop
from gemel.compiler.names.terms import Leaf, PerEntity, Predicate, Span
from gemel.compiler.plan.algebra import Aggregate, Filter, Join, Lookup, Named, Plan, Scan, Summary, Versions
from gemel.compiler.question.expressions import ONE_EXPRESSION, Refused, as_number, bound, column, conjunction, equal
from gemel.errors import About, DefinitionError, QueryError, did_you_mean
from gemel.spec.manifest import Dimension, Entity, Relation, SemanticModel

INTERNAL = frozenset(
    {"spine", "facts", "steps", "boundary", "moments", "features", "starts", "ends", "shown", "before", "later"}
    | {"earlier", "periods", "groups", "totals", "changes", "edges", "following"}
    | {"events", "seen", "windows", "since", "sightings", "spans", "levels"}
)
"""Aliases that plans use for their own results."""

PlanTerm = Callable[[PerEntity], Plan]
"""Plans a metric by its keys, its value in the column of its name. Passed in, as this module comes before planning."""


class Facts:
    """The rows of one semantic model, with the joins that a query needs. Joins are added while a leaf is planned."""

    def __init__(self, graph: Graph, home: SemanticModel, time: Attribute | None, per_entity: PlanTerm) -> None:
        self.graph = graph
        self.per_entity = per_entity
        self.home = home
        self.time = time
        self.alias = _own(home.name)
        self.rows: Plan = Scan(home.relation, self.alias)
        self._joined: dict[object, str] = {}
        self._models: set[str] = set()

    def measured(self, leaf: Leaf) -> exp.Expr:
        measure = leaf.measure
        about = About("semantic_model", self.home.name, measure.name)
        value = expression(self.graph, measure.expr, self.alias, about)
        return as_number(value.copy()) if measure.is_flag else value

    def moment(self) -> exp.Expr:
        """The time of the facts, as the table has it."""
        assert self.time is not None
        return self.time_of(self.time)

    def time_of(self, attribute: Attribute) -> exp.Expr:
        """A time of the facts that need not be the metric's own, as the table has it."""
        return self._column(attribute)

    def value(self, attribute: Attribute) -> exp.Expr:
        """An attribute of the facts at its grain. Adds the joins that it needs."""
        if attribute.grain is not None and attribute.grain in self.graph.custom_grains:
            return self._custom(attribute, attribute.grain)
        return truncated(self._column(attribute), attribute.grain, attribute.part)

    def predicate(self, predicate: Predicate) -> exp.Expr:
        return bound(predicate.template, [self.operand(operand) for operand in predicate.operands])

    def where(self, filters: Iterable[Predicate], span: Span | None = None) -> Plan:
        """The rows that pass the filters and are in the span. Call this after `value`, whose joins it must include."""
        conditions = [self.predicate(predicate) for predicate in filters]
        if span:
            conditions += within(self.moment(), span)
        return filtered(self.rows, conditions)

    def meeting(self) -> Plan:
        """The rows with all joins, for a query without metrics: the joins keep the rows of both sides. A region without
        customers is a value too, and so is an entity of a metric without a row here; a day without any row is not."""

        def met(rows: Plan) -> Plan:
            match rows:
                case Lookup(input=inner, right=right, on=on) if self._is_model_or_metric(right):
                    return Join(met(inner), right, on, "full")
                case Lookup(input=inner):
                    return replace(rows, input=met(inner))
                case _:
                    return rows

        return met(self.rows)

    def _is_model_or_metric(self, right: Scan) -> bool:
        return right.alias in self._models or not isinstance(right.source, Relation)

    def boundary(self, rows: Plan, leaf: Leaf, shown: Named | None = None) -> Plan:
        """The rows of a non-additive measure that are at the first or last time of their group.

        Groups are the measure's window groupings and the group-by time, if that is the non-additive one; other group-by
        dimensions play no part. For rows joined to a time spine, the time is `shown`, one of the spine. A row without
        the time or a grouping is dropped.
        """
        spec = leaf.measure.non_additive
        if spec is None:
            return rows
        dimension = self.graph.dimension(self.home.name, spec.dimension)
        times = [each.name for each in self.home.dimensions if each.is_time]
        if dimension is None or not dimension.is_time:
            raise DefinitionError(
                "G109",
                f"measure {leaf.measure.name!r} does not add up over {spec.dimension!r}, which is not a time dimension "
                f"of semantic model {self.home.name!r}",
                hint=did_you_mean(spec.dimension, times) or f"its time dimensions are {', '.join(times)}",
                about=About("semantic_model", self.home.name, leaf.measure.name),
            )
        time = truncated(self._dimension(self.home, dimension, self.alias), dimension.grain, None)
        groups = [grouping for name in spec.groupings for grouping in self._grouping(leaf, name)]
        own = [(key, a) for key, a in leaf.keys if isinstance(a, Attribute) and not a.hops]
        times_shown = [shown] if shown else [Named(key.name, self.value(a)) for key, a in own if a.element == dimension]
        edge = f"{'first' if spec.choice == 'min' else 'last'}_{spec.dimension}"
        edges = Aggregate(rows, (*groups, *times_shown[:1]), (Summary(edge, spec.choice, time),))
        same = [equal(g.value, column(g.name, "boundary")) for g in (*groups, *([shown] if shown else []))]
        on = conjunction([*same, equal(time, column(edge, "boundary"))])
        return Join(rows, Scan(edges, "boundary"), on, "inner")

    def _grouping(self, leaf: Leaf, name: str) -> list[Named]:
        element = self.graph.entity(self.home.name, name) or self.graph.dimension(self.home.name, name)
        if element is None:
            raise DefinitionError(
                "G109",
                f"measure {leaf.measure.name!r} has the window grouping {name!r}, which is not an entity of semantic "
                f"model {self.home.name!r}",
                hint=did_you_mean(name, [entity.name for entity in self.home.entities]),
                about=About("semantic_model", self.home.name, leaf.measure.name),
            )
        value = expression(self.graph, element.expr, self.alias, About("semantic_model", self.home.name, name))
        if isinstance(element, Entity) and name in self.graph.composites:
            names = self.graph.composites[name]
            return [Named(f"{name}__{part}", each) for part, each in zip(names, value.expressions, strict=True)]
        return [Named(name, value)]

    def operand(self, operand: Attribute | PerEntity) -> exp.Expr:
        return self._per_entity(operand) if isinstance(operand, PerEntity) else self.value(operand)

    def _column(self, attribute: Attribute) -> exp.Expr:
        alias, model = self.alias, self.home
        for count, hop in enumerate(attribute.hops, 1):
            alias, model = self._join(alias, model, attribute.hops[:count]), self.graph.models[hop.model]
        about = About("semantic_model", model.name, attribute.element.name)
        whole = expression(self.graph, attribute.element.expr, alias, about)
        return whole if attribute.component is None else whole.expressions[attribute.component]

    def _join(self, left_alias: str, left: SemanticModel, hops: tuple[Hop, ...]) -> str:
        """The alias of the model at the end of a way. A table that two ways reach is joined twice."""
        if hops in self._joined:
            return self._joined[hops]
        entity, right = hops[-1].entity, self.graph.models[hops[-1].model]
        alias = _own("__".join(hop.entity for hop in hops))
        if alias == self.alias or len(self.graph.ways.keyed(entity)) > 1:
            alias = f"{alias}__{right.name}" if right.name != alias else f"{alias}__"
        alias = self._joined_as(hops, alias)
        self._models.add(alias)
        on = list(map(equal, self._key(left, entity, left_alias), self._key(right, entity, alias)))
        on += self._partitions(hops) + self._valid(right, alias)
        versions = None
        if self.graph.ways.has_validity(right.name):
            names = [name for _, name in self.graph.ways.partitions(self.home.name, hops)]
            versions = versions_of(self.graph, right, entity, alias, partitions=names)
        self.rows = Lookup(self.rows, Scan(right.relation, alias), conjunction(on), versions)
        return alias

    def _joined_as(self, what: object, wanted: str) -> str:
        """Reserve an alias that is not used yet for a table that is about to be joined."""
        while wanted in (self.alias, *self._joined.values()):
            wanted += "_"
        self._joined[what] = wanted
        return wanted

    def _key(self, model: SemanticModel, entity: str, alias: str) -> list[exp.Expr]:
        """The expressions by which an entity is joined: one, or each component of a composite entity."""
        return [key.value for key in key_of(self.graph, model, entity, alias)]

    def _partitions(self, hops: tuple[Hop, ...]) -> list[exp.Expr]:
        """Tables with the same partitions are joined partition by partition, also if those between have none."""
        return [
            exp.EQ(this=self._partition(hops[:place], name), expression=self._partition(hops, name))
            for place, name in self.graph.ways.partitions(self.home.name, hops)
        ]

    def _partition(self, hops: tuple[Hop, ...], name: str) -> exp.Expr:
        model = self.graph.models[hops[-1].model] if hops else self.home
        dimension = self.graph.dimension(model.name, name)
        assert dimension is not None
        return self._dimension(model, dimension, self._joined[hops] if hops else self.alias)

    def _valid(self, right: SemanticModel, alias: str) -> list[exp.Expr]:
        """For a model with a history, the conditions for the row that was valid at the time of the fact."""
        if not self.graph.ways.has_validity(right.name):
            return []
        if self.time is None:
            raise QueryError(
                "G328",
                f"semantic model {right.name!r} has a history, so its values depend on the time of a fact",
                hint="name a metric, whose facts have a time",
            )
        assert isinstance(self.time.element, Dimension)
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
        return expression(self.graph, dimension.expr, alias, About("semantic_model", model.name, dimension.name))

    def _custom(self, attribute: Attribute, grain: str) -> exp.Expr:
        """A custom grain: a column of its time spine, joined by the standard grain of the spine's rows."""
        spine = self.graph.custom_grains[grain]
        base = truncated(self._column(attribute), spine.grain, None)
        name = "__".join((*(hop.entity for hop in attribute.hops), attribute.element.name))
        what = (attribute.hops, attribute.element, spine.relation)
        if what not in self._joined:
            alias = self._joined_as(what, f"{name}__spine")
            self.rows = Lookup(self.rows, Scan(spine.relation, alias), equal(base, column(spine.column, alias)))
        return column(dict(spine.custom)[grain], self._joined[what])

    def _per_entity(self, operand: PerEntity) -> exp.Expr:
        """A metric's value for the entity of each fact: a lookup in the metric, computed for all entities."""
        if operand not in self._joined:
            inner = self.per_entity(operand)
            values = [self.value(attribute) for attribute in operand.attributes]
            keys = [key.name for key in operand.keys]
            alias = self._joined_as(operand, "__".join(("per", *keys)))
            on = [equal(value, column(key, alias)) for key, value in zip(keys, values, strict=True)]
            self.rows = Lookup(self.rows, Scan(inner, alias), conjunction(on))
        return column(operand.name, self._joined[operand])


def key_of(graph: Graph, model: SemanticModel, entity: str, alias: str) -> list[Named]:
    """The key of an entity: one expression, or each component of a composite entity."""
    element = graph.entity(model.name, entity)
    assert element is not None
    key = expression(graph, element.expr, alias, About("semantic_model", model.name, entity))
    if entity not in graph.composites:
        return [Named(entity, key)]
    names = graph.composites[entity]
    return [Named(f"{entity}__{name}", part) for name, part in zip(names, key.expressions, strict=True)]


def versions_of(
    graph: Graph, model: SemanticModel, entity: str, alias: str, *, partitions: Iterable[str] = ()
) -> Versions:
    """The versions of a model with a history, by the key that joins it and the partitions that it is joined by."""

    def valued(dimension: Dimension) -> exp.Expr:
        return expression(graph, dimension.expr, alias, About("semantic_model", model.name, dimension.name))

    parts = [Named(each.name, valued(each)) for each in model.dimensions if each.name in set(partitions)]
    edges = {each.validity: truncated(valued(each), each.grain, None) for each in model.dimensions if each.validity}
    keys = (*key_of(graph, model, entity, alias), *parts)
    return Versions(model.name, entity, keys, edges.get("start"), edges.get("end"))


def _own(alias: str) -> str:
    """A table's alias, changed if the compiler uses it for results of its own."""
    return f"{alias}_" if alias.rstrip("_") in INTERNAL else alias


def expression(graph: Graph, text: str, alias: str, about: About) -> exp.Expr:
    """The text of a definition as a tree over the columns of `alias`. Raises DefinitionError (G105)."""
    try:
        return graph.texts.over(alias, text, about)
    except Refused as refused:
        raise DefinitionError(
            "G105", f"the expr of {about.element!r}: {refused}", hint=ONE_EXPRESSION, about=about
        ) from None


MOST_FILTERS = 50
"""Each filter is a step into which later stages descend. More filters than this are one step, their conjunction."""


def filtered(rows: Plan, conditions: Sequence[exp.Expr]) -> Plan:
    for condition in conditions if len(conditions) <= MOST_FILTERS else [conjunction(conditions)]:
        rows = Filter(rows, condition)
    return rows


def within(moment: exp.Expr, span: Span | None) -> list[exp.Expr]:
    """The conditions for a moment to be in a span."""
    conditions: list[exp.Expr] = []
    if span and span.start:
        conditions.append(exp.GTE(this=moment.copy(), expression=timestamp(span.start)))
    if span and span.end:
        conditions.append(exp.LT(this=moment.copy(), expression=timestamp(span.end)))
    return conditions


def timestamp(moment: dt.datetime) -> exp.Expr:
    """A moment as a literal: a date if it is midnight, which compares with both dates and timestamps."""
    if moment.time() == dt.time.min:
        return exp.cast(exp.Literal.string(moment.date().isoformat()), exp.DataType.Type.DATE)
    return exp.cast(exp.Literal.string(moment.isoformat(sep=" ")), exp.DataType.Type.TIMESTAMP)


def stepped(value: exp.Expr, grain: str | None) -> exp.Expr:
    """A time at a grain, if its type does not matter: a day is a date, which engines group and join faster."""
    return exp.TsOrDsToDate(this=value) if grain == "day" else truncated(value, grain, None)


def truncated(value: exp.Expr, grain: str | None, part: str | None) -> exp.Expr:
    """A time at a standard grain or as a date part; the day of the week is ISO's, Monday 1 to Sunday 7."""
    if part:
        unit = {"dow": "ISODOW", "doy": "DOY"}.get(part, part.upper())
        return exp.Extract(this=exp.var(unit), expression=value)
    if grain is None:
        return value
    return exp.TimestampTrunc(this=value, unit=exp.var(grain.upper()))
