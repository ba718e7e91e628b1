"""The names in one SELECT, and the derivation of expressions over them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from gemel.dbt.templates import UNKNOWN
from gemel.tracing.derivations import Derivation, Part
from gemel.tracing.expressions import PLACE, Expression, read_expression, root_of
from gemel.tracing.relations import Relation, Unreadable, Unresolved, all_parts, from_anything, open_wholes


@dataclass(frozen=True, slots=True)
class Scope:
    """`sources` are the items of FROM so far, `keys` the columns that USING merges, `aliases` the items of the SELECT
    list so far.

    `trace` traces a query inside a scope. `unknown` are the tables that a template which only dbt can render may read.
    `gaps` are the reasons for what could not be traced: by column, or under "".
    """

    trace: "Callable[[exp.Expr, Scope], Relation]"
    unknown: tuple[str, ...]
    ctes: Mapping[str, Relation] = field(default_factory=dict)
    outer: "Scope | None" = None
    sources: dict[str, Relation] = field(default_factory=dict)
    keys: dict[str, Derivation] = field(default_factory=dict)
    aliases: dict[str, Derivation] = field(default_factory=dict)
    gaps: dict[str, str] = field(default_factory=dict)

    def inside(self, relation: Relation | None = None) -> "Scope":
        """The scope of a SELECT inside this one, over a relation."""
        sources = {"": relation} if relation is not None else {}
        return Scope(self.trace, self.unknown, self.ctes, self, sources)

    def derive(self, tree: exp.Expr) -> Derivation:
        """The derivation of an expression. Raises Unresolved."""
        return self.derive_read(read_expression(tree))

    def derive_or_all(self, tree: exp.Expr) -> Derivation:
        """The derivation of an expression; if it cannot be traced, it depends on everything."""
        expression = read_expression(tree)
        try:
            return self.derive_read(expression)
        except Unresolved as unresolved:
            self.gaps.setdefault("", str(unresolved))
            return self.everything(expression.text)

    def key(self, tree: exp.Expr, outputs: Mapping[str, Derivation]) -> Derivation:
        """A key of GROUP BY or ORDER BY, or a LIMIT: `1` is the first output, and a name in ORDER BY is an output
        first."""
        inner = tree.this if isinstance(tree, exp.Ordered) else tree
        output: Derivation | None = None
        if isinstance(inner, exp.Literal) and not inner.is_string and inner.this.isdigit():
            output = dict(enumerate(outputs.values(), 1)).get(int(inner.this))
        elif inner is not tree and isinstance(inner, exp.Column) and not inner.table:
            output = outputs.get(inner.name.lower())
        if output is None:
            return self.derive_or_all(tree)
        return Derivation("desc" if tree.args.get("desc") else "", (("identity", output),))

    def derive_read(self, expression: Expression) -> Derivation:
        """The derivation of an expression that was read already. Raises Unresolved."""
        parts = self.parts(expression)
        if expression.text == PLACE and isinstance(lone := parts[0][1], Derivation):
            return lone  # a column alone
        return Derivation(expression.text, parts, fields=dict(self._fields(expression.tree)))

    def parts(self, expression: Expression) -> tuple[Part, ...]:
        """The derivations at the places of an expression. Raises Unresolved."""
        parts: list[Part] = [(why, self._leaf(leaf)) for leaf, why in expression.leaves]
        if UNKNOWN in expression.text:
            parts.append(("transformation", self.everything(UNKNOWN)))
        return tuple(parts)

    def everything(self, text: str) -> Derivation:
        """A value that can depend on anything in the scope."""
        unknown = self.unknown if UNKNOWN in text else ()
        return from_anything(text, self.sources.values(), unknown)

    def source(self, table: str) -> Relation:
        """The source of that name. Raises Unreadable."""
        for here in self._outwards():
            if table in here.sources:
                return here.sources[table]
        raise Unreadable(f"{table} is not found")

    def _leaf(self, leaf: exp.Expr) -> Derivation:
        match leaf:
            case exp.Query():
                return self._query(leaf)
            case exp.Star() | exp.Columns():
                return self.everything(type(leaf).__name__)
            case exp.Column(this=exp.Star()):
                return self._row(leaf.text("table").lower())
            case _:
                root = root_of(leaf)
                assert root is not None
                return field_of(self._column(root[0]), root[1])

    def _query(self, query: exp.Expr) -> Derivation:
        relation = self.trace(query, self)
        if relation.missed is not None:
            self.gaps.setdefault("", relation.missed)
        if isinstance(query.parent, exp.Exists):
            return Derivation("exists", (("filter", relation.rows),))
        columns = (*relation.columns.values(), *open_wholes([relation]))
        return Derivation("query", (*all_parts("identity", columns), ("filter", relation.rows)))

    def _column(self, column: exp.Column) -> Derivation:
        """`a`, `t.a`, `shop.t.a`, and `info.a` for a struct column `info`. Raises Unresolved."""
        names = [part.name.lower() for part in column.parts]
        if len(names) == 1:
            return self._bare(names[0])
        for here in self._outwards():
            for place in reversed(range(len(names) - 1)):
                source = here.sources.get(names[place])
                value = source.get(names[place + 1]) if source is not None else None
                if value is not None:
                    return field_of(value, names[place + 2 :])
        try:
            return field_of(self._bare(names[0]), names[1:])
        except Unresolved:
            raise Unresolved(f"{'.'.join(names[-2:])} is not found") from None

    def _bare(self, name: str) -> Derivation:
        if name.startswith(UNKNOWN):
            return self.everything(name)
        if name in self.keys:
            return self.keys[name]
        declared = [each.columns[name] for each in self.sources.values() if name in each.columns]
        if declared:
            return declared[0] if len(declared) == 1 else Derivation("any", all_parts("identity", declared))
        if name in self.aliases:
            return self.aliases[name]
        if name in self.sources:
            return self._row(name)
        open_ = [key for key, each in self.sources.items() if each.rest is not None]
        possible = [each for key in open_ if (each := self.sources[key].get(name)) is not None]
        around = self.outer
        if len(possible) == 1:
            declared = [] if around is None else [*around._declared(name)][:1]
            return Derivation("either", all_parts("identity", (*possible, *declared))) if declared else possible[0]
        if possible:
            raise Unresolved(f"{name} is of {' or '.join(open_)}, whose columns are not known")
        if around is not None:
            return around._bare(name)
        raise Unresolved(f"{name} is not found")

    def _declared(self, name: str) -> Iterator[Derivation]:
        """The columns of that name that sources of this scope and of outer ones certainly have."""
        for here in self._outwards():
            yield from (each.columns[name] for each in here.sources.values() if name in each.columns)

    def _row(self, table: str) -> Derivation:
        """A whole row, as a value."""
        relation = self.source(table)
        return Derivation("row", all_parts("identity", (*relation.columns.values(), *open_wholes([relation]))))

    def _fields(self, tree: exp.Expr) -> Iterator[tuple[str, Derivation]]:
        """The fields of a struct that an expression builds."""
        for each in tree.expressions if isinstance(tree, exp.Struct) else ():
            if isinstance(each, exp.PropertyEQ):
                yield each.name.lower(), self.derive(each.expression)

    def _outwards(self) -> "Iterator[Scope]":
        here: Scope | None = self
        while here is not None:
            yield here
            here = here.outer


def field_of(derivation: Derivation, names: Iterable[str]) -> Derivation:
    """A field of a struct, by its path."""
    for name in names:
        derivation = derivation.fields.get(name) or Derivation(f"field {name}", (("transformation", derivation),))
    return derivation
