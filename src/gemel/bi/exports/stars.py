"""Stars: a fact table, the tables it joins, and the metrics over them, which every format writes in its own syntax.

A star is a tree. A table with two roles is in it twice, under two names, so no tool has to choose between two join
paths. Every join is many-to-one, so no tool counts a row twice.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from gemel.bi.formulas import Formula, NoFormula, formulas_of, no_metric, time_of
from gemel.bi.wide import aggregated
from gemel.compiler.names.graph import LISTED_HOPS, Attribute, Graph
from gemel.compiler.names.joins import Hop
from gemel.compiler.plan.algebra import Lookup, Plan, Scan
from gemel.compiler.plan.facts import Facts, stepped
from gemel.compiler.question.expressions import substitute
from gemel.errors import GemelError
from gemel.spec.manifest import Dimension, Entity, Relation, SemanticModel
from gemel.spec.metrics import Metric


@dataclass(frozen=True, slots=True)
class Table:
    """A table in one role. `on` is its join condition with `parent`; both are None for the facts. `equal` has the pairs
    of equal columns of the two, if the condition is nothing else. `key` are columns that are unique together.
    """

    name: str
    model: SemanticModel
    relation: Relation
    parent: str | None = None
    on: exp.Expr | None = None
    equal: tuple[tuple[str, str], ...] | None = None
    key: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Field:
    """Something to group and filter by: an entity or a dimension of one table.

    `raw` is its expression, `value` the same at its own grain; both name columns with their tables.
    """

    table: str
    name: str
    raw: exp.Expr
    value: exp.Expr
    element: Dimension | Entity

    @property
    def grain(self) -> str | None:
        return self.element.grain if isinstance(self.element, Dimension) else None


@dataclass(frozen=True, slots=True)
class StarMetric:
    """A metric as one expression over the columns of the tables. `time` is the dimension of the facts for its time."""

    metric: Metric
    expression: exp.Expr
    time: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A metric that a format cannot express, and why."""

    metric: str
    reason: str

    def __str__(self) -> str:
        return f"{self.metric}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Star:
    """`tables` starts with the facts; each table follows its parent. `lost` are tables that the format cannot join."""

    tables: tuple[Table, ...]
    fields: tuple[Field, ...]
    metrics: tuple[StarMetric, ...]
    lost: tuple[str, ...] = ()

    @property
    def facts(self) -> Table:
        return self.tables[0]

    def table(self, name: str) -> Table:
        return next(each for each in self.tables if each.name == name)

    def fields_of(self, table: str) -> tuple[Field, ...]:
        return tuple(each for each in self.fields if each.table == table)

    def path(self, name: str) -> tuple[str, ...]:
        """The tables from the facts to a table: `("flights", "plane", "maker")`."""
        parent = self.table(name).parent
        return (*(self.path(parent) if parent else ()), name)


def make_stars(graph: Graph, metrics: Sequence[str] = ()) -> tuple[tuple[Star, ...], tuple[Refusal, ...]]:
    """A star for each semantic model with facts of the metrics (by default all), and the metrics that are not one
    expression over one star. Raises UnknownNameError (G201)."""
    wanted = dict.fromkeys(graph.metric(name).name for name in metrics) or dict.fromkeys(
        each.name for each in graph.manifest.metrics if not each.private
    )
    stars: list[Star] = []
    refused: dict[str, str] = {}
    exported: set[str] = set()
    for model in graph.models:
        candidates = [each for each in formulas_of(graph, model).metrics if each.metric.name in wanted]
        formulas = [each for each in candidates if isinstance(each, Formula)]
        refused.update({each.metric.name: _reason(each) for each in candidates if isinstance(each, NoFormula)})
        if formulas:
            stars.append(_star(graph, model, formulas))
            exported.update(each.metric.name for each in formulas)
    reasons = {name: refused.get(name, "its definition is invalid, see `gemel validate`") for name in wanted}
    return tuple(stars), tuple(Refusal(name, reasons[name]) for name in wanted if name not in exported)


def tables_in(tree: exp.Expr) -> set[str]:
    """The names of the tables whose columns an expression reads."""
    return {column.table for column in tree.find_all(exp.Column)}


def restrict(star: Star, refused: Iterable[Refusal]) -> Star:
    """The star without the metrics that a format cannot express."""
    without = {each.metric for each in refused}
    return replace(star, metrics=tuple(each for each in star.metrics if each.metric.name not in without))


def prune(star: Star, lost: Iterable[str]) -> tuple[Star, tuple[Refusal, ...]]:
    """The star without the lost tables, those behind them, and the metrics that read any of these."""
    gone = set(lost)
    gone |= {each.name for each in star.tables if gone & set(star.path(each.name))}
    kept = replace(
        star,
        tables=tuple(each for each in star.tables if each.name not in gone),
        fields=tuple(each for each in star.fields if each.table not in gone),
        lost=(*star.lost, *(each.name for each in star.tables if each.name in gone)),
    )
    refused = tuple(
        Refusal(each.metric.name, f"it is filtered by {min(read)}, which cannot be joined")
        for each in star.metrics
        if (read := tables_in(each.expression) & gone)
    )
    return restrict(kept, refused), refused


ROW = "a row"
"""A column that is 1 on each row of the facts. No table has it, so a format adds a field for it."""


def anchor(star: Star) -> tuple[Star, tuple[Refusal, ...]]:
    """For formats in which an aggregate counts the rows of the table whose columns it reads: each reads the facts.

    `SUM(CASE WHEN destination.time_zone = 'x' THEN 1 END)` would count airports there, and not flights.
    """
    row = exp.Column(this=exp.to_identifier(ROW, quoted=True), table=exp.to_identifier(star.facts.name))

    def anchored(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.AggFunc) or star.facts.name in tables_in(node):
            return node
        one = exp.Literal.number(1)
        return node.transform(lambda each: row.copy() if isinstance(each, exp.Star) or each == one else each)

    metrics = [replace(each, expression=each.expression.transform(anchored)) for each in star.metrics]
    lost = [
        each.metric.name
        for each in metrics
        if any(star.facts.name not in tables_in(node) for node in each.expression.find_all(exp.AggFunc))
    ]
    refused = tuple(
        Refusal(name, "it reads no column of the facts, so the tool would count other rows") for name in lost
    )
    return restrict(replace(star, metrics=tuple(metrics)), refused), refused


def near(star: Star) -> tuple[Star, tuple[Refusal, ...]]:
    """For formats whose join conditions read only two tables. The lookup of a history two joins away also reads the
    time of the facts, and that of a partition may read the partition of the facts."""
    lost = [each.name for each in star.tables if each.on and not tables_in(each.on) <= {each.name, each.parent}]
    return prune(star, lost)


def unshadow(star: Star) -> tuple[Star, tuple[Refusal, ...]]:
    """For formats in which columns and fields share a namespace: no field hides a column that others read.

    A day `sold_at` of the column `sold_at` becomes `sold_at__day` if another field is its hour.
    """
    fields = []
    for field in star.fields:
        others = [each.value for each in star.fields if each.table == field.table and each is not field]
        read = [
            column
            for tree in (*others, *(metric.expression for metric in star.metrics))
            for column in tree.find_all(exp.Column)
            if column.table == field.table and column.name.lower() == field.name
        ]
        plain = isinstance(field.value, exp.Column) and field.value.name.lower() == field.name
        fields.append(field if plain or not read else replace(field, name=f"{field.name}__{field.grain or 'value'}"))
    return replace(star, fields=tuple(fields)), ()


def _reason(refused: NoFormula) -> str:
    """The reason, with `it` for the name of the metric itself: `it accumulates over 7 days`."""
    name = f"{refused.metric.name} "
    return f"it {refused.reason.removeprefix(name)}" if refused.reason.startswith(name) else refused.reason


def _star(graph: Graph, model: str, formulas: Sequence[Formula]) -> Star:
    home = graph.models[model]
    time = time_of(graph, model)
    facts = Facts(graph, home, Attribute(model, (), time) if time else None, no_metric)
    fields: list[Field] = list(_fields(graph, facts, facts.alias, model, ()))
    tables = [Table(facts.alias, home, home.relation, key=_own_key(graph, home))]
    lost: list[str] = []
    for hops in _paths(graph, model, formulas):
        rows = facts.rows
        try:
            here = list(_fields(graph, facts, "", hops[-1].model, hops))
            if not here:  # a table that has only its key, which its parent has too
                continue
        except GemelError:
            facts.rows = rows
            lost.append("__".join(hop.entity for hop in hops))
            continue
        assert isinstance(facts.rows, Lookup) and isinstance(facts.rows.right, Scan)
        name = facts.rows.right.alias
        fields += [replace(each, table=name) for each in here]
        tables.append(_join(graph, facts.rows, name, hops[-1]))
    metrics = tuple(
        StarMetric(each.metric, _write_counts(_over_tables(facts, each)), each.time.name) for each in formulas
    )
    return Star(tuple(tables), tuple(fields), metrics, tuple(lost))


def _paths(graph: Graph, model: str, formulas: Sequence[Formula]) -> Iterator[tuple[Hop, ...]]:
    """The join paths of the facts, nearest first, and as far as a filter needs."""
    paths: dict[tuple[Hop, ...], None] = {}
    for length in range(1, LISTED_HOPS + 1):
        paths.update(dict.fromkeys(graph.ways.walks(model, (), length)))
    for formula in formulas:
        for item in formula.inputs:
            for predicate in item.leaf.filters:
                for operand in predicate.operands:
                    assert isinstance(operand, Attribute)
                    paths.update({operand.hops[:count]: None for count in range(1, len(operand.hops) + 1)})
    yield from sorted(paths, key=len)


def _fields(graph: Graph, facts: Facts, table: str, model: str, hops: tuple[Hop, ...]) -> Iterator[Field]:
    """The fields of a table, except the keys that join it, which its parent has already."""
    passed = {hop.entity for hop in hops}
    here = graph.models[model]
    elements: list[Dimension | Entity] = [*here.entities, *here.dimensions]
    existing: set[str] = set()
    for element in elements:
        if isinstance(element, Entity) and element.name in passed:
            continue
        parts = graph.composites.get(element.name, ()) if isinstance(element, Entity) else ()
        for place, part in enumerate(parts or (None,)):
            name = element.name if part is None else f"{element.name}__{part}"
            attribute = Attribute(facts.home.name, hops, element, component=place if parts else None)
            if name in existing:  # an entity and a dimension of one name are one column, or the entity has precedence
                continue
            existing.add(name)
            raw = facts.value(attribute)
            grain = element.grain if isinstance(element, Dimension) else None
            yield Field(table, name, raw, stepped(raw.copy(), grain) if grain else raw, element)


def _join(graph: Graph, rows: Lookup, name: str, hop: Hop) -> Table:
    right = rows.right
    assert isinstance(right, Scan) and isinstance(right.source, Relation)
    conditions = list(rows.on.flatten()) if isinstance(rows.on, exp.And) else [rows.on]
    parents = [each.table for each in conditions[0].this.find_all(exp.Column)]
    plain = tables_in(rows.on) <= {name, *parents[:1]} and all(
        isinstance(each, exp.EQ) and isinstance(each.this, exp.Column) and isinstance(each.expression, exp.Column)
        for each in conditions
    )
    pairs = tuple((each.this.name, each.expression.name) for each in conditions) if plain else None
    model = graph.models[hop.model]
    return Table(
        name,
        model,
        right.source,
        parent=parents[0] if parents else _bottom(rows),
        on=rows.on,
        equal=pairs,
        key=tuple(theirs for _, theirs in pairs) if pairs else (),
    )


def _bottom(rows: Plan) -> str:
    while isinstance(rows, Lookup):
        rows = rows.input
    assert isinstance(rows, Scan)
    return rows.alias


def _own_key(graph: Graph, model: SemanticModel) -> tuple[str, ...]:
    """The columns of the primary entity; empty if they are not plain columns."""
    for entity in model.entities:
        if entity.type == "primary":
            tree = graph.texts.scalar(entity.expr)
            parts = tree.expressions if isinstance(tree, exp.Tuple) else [tree]
            return tuple(each.name for each in parts) if all(isinstance(each, exp.Column) for each in parts) else ()
    return ()


def _over_tables(facts: Facts, formula: Formula) -> exp.Expr:
    return substitute(formula.expression, {each.name: aggregated(facts, each) for each in formula.inputs})


def _write_counts(tree: exp.Expr) -> exp.Expr:
    """`SUM(1)` as people write it: `NULLIF(COUNT(*), 0)`. Both are NULL over no rows."""

    def count(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Sum) and node.this == exp.Literal.number(1):
            rows = exp.Count(this=exp.Star(), big_int=True)
            divided = isinstance(node.parent, exp.Nullif) and node.arg_key == "this"
            return rows if divided else exp.Nullif(this=rows, expression=exp.Literal.number(0))
        return node

    return tree.transform(count)
