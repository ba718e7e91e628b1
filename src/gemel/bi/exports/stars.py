"""A fact table, the tables that its rows lead to, and the metrics over them: what every format says in its own words.

A star is a tree. A table that is reached in two roles is in it twice, under two names, so that no tool has to choose
between two ways, and every join is from many to one, so that none of them counts a row twice.
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
    """A table in its role. `on` is what joins it to `parent`, which is None for the facts; `equal` pairs the columns
    that are equal, where that is all that there is to the join. `key` are the columns that no two rows share.
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
    """Something to group and filter by: an entity or a dimension of one table, as it stands there.

    `raw` is the column as it is, `value` at its own grain, both over the names of tables.
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
class Said:
    """A metric as one expression over the columns of the tables. `time` is the dimension of the facts it goes by."""

    metric: Metric
    expression: exp.Expr
    time: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A metric that a format does not get, and why."""

    metric: str
    reason: str

    def __str__(self) -> str:
        return f"{self.metric}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Star:
    """`tables` starts with the facts, and has each after its parent. `lost` are tables that cannot be joined here."""

    tables: tuple[Table, ...]
    fields: tuple[Field, ...]
    metrics: tuple[Said, ...]
    lost: tuple[str, ...] = ()

    @property
    def facts(self) -> Table:
        return self.tables[0]

    def table(self, name: str) -> Table:
        return next(each for each in self.tables if each.name == name)

    def fields_of(self, table: str) -> tuple[Field, ...]:
        return tuple(each for each in self.fields if each.table == table)

    def path(self, name: str) -> tuple[str, ...]:
        """The tables from the facts to one: `("flights", "plane", "maker")`."""
        parent = self.table(name).parent
        return (*(self.path(parent) if parent else ()), name)


def make_stars(graph: Graph, metrics: Sequence[str] = ()) -> tuple[tuple[Star, ...], tuple[Refusal, ...]]:
    """A star for each semantic model that some of the metrics (by default all) count, and the metrics that no single
    expression over one star gives. Raises UnknownNameError (G201)."""
    wanted = dict.fromkeys(graph.metric(name).name for name in metrics) or dict.fromkeys(
        each.name for each in graph.manifest.metrics if not each.private
    )
    stars: list[Star] = []
    refused: dict[str, str] = {}
    said: set[str] = set()
    for model in graph.models:
        known = [each for each in formulas_of(graph, model).metrics if each.metric.name in wanted]
        formulas = [each for each in known if isinstance(each, Formula)]
        refused.update({each.metric.name: _of_it(each) for each in known if isinstance(each, NoFormula)})
        if formulas:
            stars.append(_star(graph, model, formulas))
            said.update(each.metric.name for each in formulas)
    reasons = {name: refused.get(name, "its definition cannot be meant, see `gemel validate`") for name in wanted}
    return tuple(stars), tuple(Refusal(name, reasons[name]) for name in wanted if name not in said)


def tables_in(tree: exp.Expr) -> set[str]:
    """The names of the tables whose columns an expression reads."""
    return {column.table for column in tree.find_all(exp.Column)}


def restrict(star: Star, refused: Iterable[Refusal]) -> Star:
    """The star without the metrics that a format cannot say."""
    without = {each.metric for each in refused}
    return replace(star, metrics=tuple(each for each in star.metrics if each.metric.name not in without))


def prune(star: Star, lost: Iterable[str]) -> tuple[Star, tuple[Refusal, ...]]:
    """The star without some of its tables, those behind them, and the metrics that read one of them."""
    gone = set(lost)
    gone |= {each.name for each in star.tables if gone & set(star.path(each.name))}
    kept = replace(
        star,
        tables=tuple(each for each in star.tables if each.name not in gone),
        fields=tuple(each for each in star.fields if each.table not in gone),
        lost=(*star.lost, *(each.name for each in star.tables if each.name in gone)),
    )
    refused = tuple(
        Refusal(each.metric.name, f"it is filtered by {min(read)}, which cannot be joined there")
        for each in star.metrics
        if (read := tables_in(each.expression) & gone)
    )
    return restrict(kept, refused), refused


ROW = "a row"
"""The column that stands for 1 on each row of the facts, which no table has: a format adds a field for it."""


def anchor(star: Star) -> tuple[Star, tuple[Refusal, ...]]:
    """For formats that tell whose rows an aggregate counts by the columns that it reads: each reads one of the facts.

    `SUM(CASE WHEN destination.time_zone = 'x' THEN 1 END)` would count airports there, and not flights.
    """
    row = exp.Column(this=exp.to_identifier(ROW, quoted=True), table=exp.to_identifier(star.facts.name))

    def anchored(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.AggFunc) or star.facts.name in tables_in(node):
            return node
        one = exp.Literal.number(1)
        return node.transform(lambda each: row.copy() if isinstance(each, exp.Star) or each == one else each)

    said = [replace(each, expression=each.expression.transform(anchored)) for each in star.metrics]
    lost = [
        each.metric.name
        for each in said
        if any(star.facts.name not in tables_in(node) for node in each.expression.find_all(exp.AggFunc))
    ]
    refused = tuple(Refusal(name, "it reads no column of its own rows, which are told by one there") for name in lost)
    return restrict(replace(star, metrics=tuple(said)), refused), refused


def near(star: Star) -> tuple[Star, tuple[Refusal, ...]]:
    """For formats in which a join speaks of two tables: one that looks up the history of a table two steps away reads
    the time of the facts besides."""
    lost = [each.name for each in star.tables if each.on and not tables_in(each.on) <= {each.name, each.parent}]
    return prune(star, lost)


def unshadow(star: Star) -> tuple[Star, tuple[Refusal, ...]]:
    """For formats in which a name can be a column's or a field's: no field hides a column that others read.

    A day `sold_at` that is cut from the column `sold_at` becomes `sold_at__day` where an hour is cut from it, too.
    """
    fields = []
    for field in star.fields:
        others = [each.value for each in star.fields if each.table == field.table and each is not field]
        read = [
            column
            for tree in (*others, *(said.expression for said in star.metrics))
            for column in tree.find_all(exp.Column)
            if column.table == field.table and column.name.lower() == field.name
        ]
        plain = isinstance(field.value, exp.Column) and field.value.name.lower() == field.name
        fields.append(field if plain or not read else replace(field, name=f"{field.name}__{field.grain or 'value'}"))
    return replace(star, fields=tuple(fields)), ()


def _of_it(refused: NoFormula) -> str:
    """Of the metric itself where its name would be there twice: `it accumulates over 7 days`."""
    name = f"{refused.metric.name} "
    return f"it {refused.reason.removeprefix(name)}" if refused.reason.startswith(name) else refused.reason


def _star(graph: Graph, model: str, formulas: Sequence[Formula]) -> Star:
    home = graph.models[model]
    time = time_of(graph, model)
    facts = Facts(graph, home, Attribute(model, (), time) if time else None, no_metric)
    fields: list[Field] = list(_fields(graph, facts, facts.alias, model, ()))
    tables = [Table(facts.alias, home, home.relation, key=_own_key(graph, home))]
    lost: list[str] = []
    for hops in _ways(graph, model, formulas):
        rows = facts.rows
        try:
            found = list(_fields(graph, facts, "", hops[-1].model, hops))
            if not found:  # a table that has only its key, which is on the near side
                continue
        except GemelError:
            facts.rows = rows
            lost.append("__".join(hop.entity for hop in hops))
            continue
        assert isinstance(facts.rows, Lookup) and isinstance(facts.rows.right, Scan)
        name = facts.rows.right.alias
        fields += [replace(each, table=name) for each in found]
        tables.append(_joined(graph, facts.rows, name, hops[-1]))
    said = tuple(Said(each.metric, _counted(_over_tables(facts, each)), each.time.name) for each in formulas)
    return Star(tuple(tables), tuple(fields), said, tuple(lost))


def _ways(graph: Graph, model: str, formulas: Sequence[Formula]) -> Iterator[tuple[Hop, ...]]:
    """Where the facts lead to, nearest first, and as far as some filter looks."""
    found: dict[tuple[Hop, ...], None] = {}
    for length in range(1, LISTED_HOPS + 1):
        found.update(dict.fromkeys(graph.ways.walks(model, (), length)))
    for formula in formulas:
        for given in formula.inputs:
            for predicate in given.leaf.filters:
                for operand in predicate.operands:
                    assert isinstance(operand, Attribute)
                    found.update({operand.hops[:count]: None for count in range(1, len(operand.hops) + 1)})
    yield from sorted(found, key=len)


def _fields(graph: Graph, facts: Facts, table: str, model: str, hops: tuple[Hop, ...]) -> Iterator[Field]:
    """What a table has. The keys by which it was reached are on the near side already."""
    passed = {hop.entity for hop in hops}
    here = graph.models[model]
    elements: list[Dimension | Entity] = [*here.entities, *here.dimensions]
    taken: set[str] = set()
    for element in elements:
        if isinstance(element, Entity) and element.name in passed:
            continue
        parts = graph.composites.get(element.name, ()) if isinstance(element, Entity) else ()
        for place, part in enumerate(parts or (None,)):
            name = element.name if part is None else f"{element.name}__{part}"
            attribute = Attribute(facts.home.name, hops, element, component=place if parts else None)
            if name in taken:  # an entity and a dimension of one name are one column, or the entity goes first
                continue
            taken.add(name)
            raw = facts.value(attribute)
            grain = element.grain if isinstance(element, Dimension) else None
            yield Field(table, name, raw, stepped(raw.copy(), grain) if grain else raw, element)


def _joined(graph: Graph, rows: Lookup, name: str, hop: Hop) -> Table:
    right = rows.right
    assert isinstance(right, Scan) and isinstance(right.source, Relation)
    conditions = list(rows.on.flatten()) if isinstance(rows.on, exp.And) else [rows.on]
    parents = [each.table for each in conditions[0].this.find_all(exp.Column)]
    plain = all(
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
    """The columns of the model's primary entity, where they are columns."""
    for entity in model.entities:
        if entity.type == "primary":
            tree = graph.texts.scalar(entity.expr)
            parts = tree.expressions if isinstance(tree, exp.Tuple) else [tree]
            return tuple(each.name for each in parts) if all(isinstance(each, exp.Column) for each in parts) else ()
    return ()


def _over_tables(facts: Facts, formula: Formula) -> exp.Expr:
    return substitute(formula.expression, {each.name: aggregated(facts, each) for each in formula.inputs})


def _counted(tree: exp.Expr) -> exp.Expr:
    """`SUM(1)` as people write it: `NULLIF(COUNT(*), 0)`. Over no rows both are NULL."""

    def count(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Sum) and node.this == exp.Literal.number(1):
            rows = exp.Count(this=exp.Star(), big_int=True)
            divided = isinstance(node.parent, exp.Nullif) and node.arg_key == "this"
            return rows if divided else exp.Nullif(this=rows, expression=exp.Literal.number(0))
        return node

    return tree.transform(count)
