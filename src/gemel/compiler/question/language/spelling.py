"""Spellings of functions as trees, and how tightly what is written binds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp, parse_one

from gemel.compiler.question.language.closed import called_names, generate, read_spelling
from gemel.compiler.question.language.signatures import Function
from gemel.engines.duckdb import DIALECT
from gemel.engines.engine import Capability
from gemel.engines.lookup import engine_for_dialect
from gemel.engines.postgres import DIALECT as POSTGRES

EXACT = (DIALECT, POSTGRES)
"""The dialects whose spellings are in the table, and proven equal. For others sqlglot translates DuckDB's."""

LARGEST = 20_000
"""How many nodes an expression may consist of: some functions are written with an argument several times."""
GROWTH = 1_000
"""How many times longer than its arguments a text may become."""

OR, AND, NOT, PREDICATE, JOINED, SUM, PRODUCT, SIGN, WHOLE = range(1, 10)
"""How tightly an operation binds. All engines agree on this order; where they do not, parentheses are written."""

BINARY: dict[type[exp.Expr], tuple[int, str | None]] = {
    exp.Or: (OR, "boolean"),
    exp.And: (AND, "boolean"),
    exp.EQ: (PREDICATE, "boolean"),
    exp.NEQ: (PREDICATE, "boolean"),
    exp.LT: (PREDICATE, "boolean"),
    exp.LTE: (PREDICATE, "boolean"),
    exp.GT: (PREDICATE, "boolean"),
    exp.GTE: (PREDICATE, "boolean"),
    exp.NullSafeEQ: (PREDICATE, "boolean"),
    exp.NullSafeNEQ: (PREDICATE, "boolean"),
    exp.DPipe: (JOINED, "text"),
    exp.Add: (SUM, None),
    exp.Sub: (SUM, None),
    exp.Mul: (PRODUCT, None),
    exp.Div: (PRODUCT, None),
    exp.Mod: (PRODUCT, None),
}
PREDICATES = (exp.Is, exp.In, exp.Between, exp.Like, exp.ILike, exp.Escape)


@dataclass(frozen=True, slots=True)
class Written:
    """A part of the expression as the engine reads it. `type` is None where only the warehouse knows it."""

    tree: exp.Expr
    type: str | None = None
    level: int = WHOLE
    size: int = 1
    growth: float = 1.0
    bare: bool = False

    def at(self, level: int) -> exp.Expr:
        """The tree as an operand of an operation that binds this tightly."""
        return self.tree if self.level >= level else exp.Paren(this=self.tree)


@dataclass(frozen=True, slots=True)
class Spelled:
    """A function as a tree over its parameters, and the names that it calls, in upper case. The tree is shared."""

    tree: exp.Expr
    names: frozenset[str]

    def fill(self, row: Function, written: Mapping[str, list[Written]]) -> Written:
        """The tree with arguments in the place of the parameters."""
        uses = [node for node in self.tree.find_all(exp.Column) if node.name in written]
        size = sum(each.size for node in uses for each in written[node.name]) + 5
        every = [each for parts in written.values() for each in parts]
        growth = max((each.growth for each in every if not each.bare), default=1.0)
        for each in every:
            growth *= each.growth if each.bare else 1.0
        type_ = row.result if row.result != "any" else first_type(every)
        if size > LARGEST:  # the writer refuses it by its size
            return Written(exp.null(), type_, size=size)
        root = exp.Paren(this=self.tree.copy())
        for node in list(root.find_all(exp.Column)):
            if node.name in written:
                _replace(node, written[node.name])
        return Written(root.this.pop(), type_, _level(self.tree), size, growth)


_SPELLED: dict[tuple[str, str], Spelled] = {}
"""By spelling and dialect: as many as the table has."""


def find_spelling(row: Function, unit: str | None, dialect: str) -> Spelled | None:
    """How an engine spells a function; None if it is not known."""
    if row.own is not None:
        call = exp.Anonymous(this=row.own, expressions=[exp.column(each.name) for each in row.parameters])
        return Spelled(call, frozenset((row.own.upper(), row.own.rpartition(".")[2].upper())))
    elsewhere = row.elsewhere if engine_for_dialect(dialect).has(Capability.FUNCTIONS) else None
    spelling = {DIALECT: row.duckdb, POSTGRES: row.postgres}.get(dialect, elsewhere)
    if isinstance(spelling, Mapping):
        spelling = spelling.get(unit or "")
    if not spelling:
        return None
    if (spelling, dialect) not in _SPELLED:
        tree = read_spelling(spelling) if dialect in EXACT else parse_one(spelling, dialect=DIALECT)
        _SPELLED[spelling, dialect] = Spelled(tree, frozenset(called_names(generate(tree, dialect), dialect)))
    return _SPELLED[spelling, dialect]


def cast(tree: exp.Expr, type_: str) -> exp.Expr:
    """A cast to a type in DuckDB's words."""
    return exp.Cast(this=tree, to=exp.DataType.build(type_, dialect=DIALECT))


def first_type(values: Sequence[Written]) -> str | None:
    """The type that all values have; None if it is not known of all."""
    types = {each.type for each in values if not isinstance(each.tree, exp.Null)}
    if types == {"whole", "number"}:
        return "number"
    return types.pop() if len(types) == 1 else None


def _replace(node: exp.Column, values: Sequence[Written]) -> None:
    """Put values in the place of a parameter. Only an argument of a call can be several."""
    parent = node.parent
    assert parent is not None
    inside = isinstance(parent, exp.Anonymous | exp.Cast | exp.If | exp.Case | exp.Paren) or (
        isinstance(parent, exp.Func) and not isinstance(parent, exp.Binary)
    )
    trees = [each.tree.copy() if inside or each.level == WHOLE else exp.Paren(this=each.tree.copy()) for each in values]
    if node.arg_key == "expressions":
        parent.set("expressions", [part for each in parent.expressions for part in (trees if each is node else [each])])
    else:
        node.replace(trees[0])
        if len(trees) > 1:  # sqlglot keeps the first argument of such a function apart
            parent.set("expressions", [*trees[1:], *parent.expressions])


def _level(tree: exp.Expr) -> int:
    if type(tree) in BINARY:
        return BINARY[type(tree)][0]
    if isinstance(tree, PREDICATES):
        return PREDICATE
    if isinstance(tree, exp.AtTimeZone):
        return OR
    return NOT if isinstance(tree, exp.Not) else WHOLE
