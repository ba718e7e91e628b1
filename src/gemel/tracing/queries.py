"""The one tracer of SQL: a query to the derivation of each of its columns and of its rows from the tables that it
reads.

The tree stays as it was parsed, except that named windows are written out: no other rewriting can change its meaning.
A part that cannot be traced depends on everything that it could read.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from sqlglot import exp

from gemel.dbt.templates import UNKNOWN
from gemel.tracing.derivations import Derivation, Part
from gemel.tracing.expressions import read_expression, spell_windows, text_of
from gemel.tracing.pivots import pivot
from gemel.tracing.relations import (
    Relation,
    Unreadable,
    all_parts,
    combine,
    from_anything,
    of_function,
    open_wholes,
    rename,
    whole_of,
)
from gemel.tracing.scopes import Scope
from gemel.tracing.selects import select

OpenTable = Callable[[exp.Table], Relation | None]
"""The relation of a table that a query names; None for a table outside the lineage."""


def trace(query: exp.Expr, open_table: OpenTable, *, unknown: Iterable[str] = ()) -> Relation:
    """Named windows are written out in place. `unknown` are the ids of the tables that a template which only dbt can
    render may read."""
    spell_windows(query)
    tracer = _Tracer(open_table)
    return tracer.relation(query, Scope(tracer.relation, tuple(unknown)))


@dataclass(frozen=True, slots=True)
class _Tracer:
    open_table: OpenTable

    def relation(self, query: exp.Expr, scope: Scope) -> Relation:
        """The relation of a query inside a scope."""
        try:
            scope = self._with_ctes(query, scope)
            match query:
                case exp.Select():
                    return select(query, scope.inside(), self._source)
                case exp.SetOperation():
                    return self._limit(query, self._set_operation(query, scope), scope)
                case exp.Subquery():
                    return self._limit(query, self.relation(query.this, scope), scope)
                case exp.Pivot():
                    return self._pivot(query, self._item(query.this, scope), scope)
                case exp.Table() | exp.Values():
                    return self._source(query, scope)
                case _:
                    raise Unreadable("it is not a SELECT")
        except Unreadable as unreadable:
            return self._opaque(query, scope, str(unreadable))

    def _with_ctes(self, query: exp.Expr, scope: Scope) -> Scope:
        with_ = query.args.get("with_") or exp.With()
        for cte in with_.expressions:
            name = cte.alias.lower()
            if with_.args.get("recursive") and any(each.name.lower() == name for each in cte.find_all(exp.Table)):
                relation = self._recursive(cte, name, scope)
            else:
                relation = rename(self.relation(cte.this, scope), cte)
            scope = replace(scope, ctes={**scope.ctes, name: relation})
        return scope

    def _recursive(self, cte: exp.Expr, name: str, scope: Scope) -> Relation:
        """Trace the CTE over itself until that adds nothing."""
        if not isinstance(cte.this, exp.SetOperation):
            raise Unreadable("it has a recursive CTE that is not a UNION")
        relation = rename(self.relation(cte.this.left, scope), cte)
        for _ in range(len(relation.columns) + 2):
            here = replace(scope, ctes={**scope.ctes, name: relation})
            before, relation = relation, rename(self.relation(cte.this, here), cte)
            same = relation.columns.keys() == before.columns.keys() and relation.rows.uses == before.rows.uses
            if same and all(each.uses == before.columns[column].uses for column, each in relation.columns.items()):
                break
        return relation

    def _set_operation(self, query: exp.SetOperation, scope: Scope) -> Relation:
        """UNION, INTERSECT, EXCEPT: columns by position, or by name if the columns of neither side are all declared."""
        sides = left, right = self.relation(query.left, scope), self.relation(query.right, scope)
        both_open = left.rest is not None and right.rest is not None
        by_name = bool(query.args.get("by_name")) or both_open
        word, distinct = f"{type(query).__name__} {by_name}", bool(query.args.get("distinct"))
        pairs: dict[str, list[Derivation]] = {}
        others = list(right.columns.values())
        for place, name in enumerate(dict.fromkeys((*left.columns, *(right.columns if by_name else ())))):
            if by_name:
                pair = [left.get(name), right.get(name)]
            elif right.rest is not None:
                pair = [left.columns[name], from_anything(f"column {place}", [right])]
            else:
                pair = [left.columns[name], *others[place : place + 1]]
            pairs[name] = [each for each in pair if each is not None]

        def rest(name: str) -> Derivation | None:
            if not isinstance(query, exp.Union):
                return left.get(name)
            pair = (left.get(name), right.get(name) if by_name else from_anything(name, [right]))
            sources = [each for each in pair if each is not None]
            return Derivation(word, all_parts("identity", sources)) if sources else None

        rows: tuple[Part, ...] = (("identity", left.rows), ("identity", right.rows))
        declared = [each for pair in pairs.values() for each in pair]
        every = [*([] if both_open else declared), *open_wholes(sides)]
        if isinstance(query, exp.Union):
            columns = {name: Derivation(word, all_parts("identity", pair)) for name, pair in pairs.items()}
            rows += all_parts("group_by", every) if distinct else ()
        else:  # all columns of both sides decide which rows of the left one stay
            columns = dict(left.columns)
            rows += all_parts("filter", every)
        is_open = left.rest is not None or (by_name and right.rest is not None)
        return combine(sides, columns, Derivation(f"{word} {distinct}", rows), rest if is_open else None)

    def _limit(self, query: exp.Expr, relation: Relation, scope: Scope) -> Relation:
        """ORDER BY with LIMIT or OFFSET of a query that is not a SELECT, over the columns of its result."""
        order, cuts = query.args.get("order"), [each for key in ("limit", "offset") if (each := query.args.get(key))]
        if not cuts:
            return relation
        here = scope.inside(relation)
        keys = [*(order.expressions if order is not None else ()), *cuts]
        sorts = all_parts("sort", (here.key(each, relation.columns) for each in keys))
        return replace(relation, rows=Derivation("cut", (("identity", relation.rows), *sorts)))

    # --- FROM -------------------------------------------------------------------------------------------------

    def _source(self, node: exp.Expr, scope: Scope) -> Relation:
        """An item of FROM, with its alias."""
        relation = self._item(node, scope)
        for each in node.args.get("pivots") or ():
            relation = rename(self._pivot(each, relation, scope), each)
        texts = [text_of(each) for key in _ALTERED if isinstance(each := node.args.get(key), exp.Expr)]
        if UNKNOWN in node.alias:  # `from orders {{ ... }}`
            filters = scope.inside(relation).everything(f"{node.alias} {texts}")
            return replace(relation, rows=Derivation("", (("identity", relation.rows), ("filter", filters))))
        if texts:
            return replace(relation, rows=Derivation(" ".join(texts), (("identity", relation.rows),)))
        return relation

    def _item(self, node: exp.Expr, scope: Scope) -> Relation:
        match node:
            case exp.Table(this=exp.Func()):
                opened = self.open_table(node)
                return rename(opened, node) if opened is not None else _function(node, scope)
            case exp.Table() if node.db and node.db.lower() in scope.sources:  # BigQuery: `from orders o, o.lines`
                column = exp.column(node.name, node.db)
                names = [(node.alias or node.name).lower()]
                return of_function("unnest", scope.parts(read_expression(column)), names)
            case exp.Table():
                opened = self.open_table(node) if node.name.startswith(_EPHEMERAL) else None
                opened = opened or (scope.ctes.get(node.name.lower()) if not node.db else None)
                return rename(opened or self.open_table(node) or _foreign(node, scope), node)
            case exp.Lateral(this=exp.Subquery()):
                return rename(self.relation(node.this, scope), node)
            case exp.Subquery(this=exp.Query()):
                return rename(self.relation(node, scope), node)
            case exp.Subquery():  # a join in brackets, with an alias
                star = exp.Select(expressions=[exp.Star()], from_=exp.From(this=node.this.copy()))
                return rename(self.relation(star, scope), node)
            case exp.Values():
                return rename(_values(node, scope), node)
            case _:
                return _function(node, scope)

    def _pivot(self, node: exp.Expr, relation: Relation, scope: Scope) -> Relation:
        return pivot(node, relation, scope.inside(relation))

    def _opaque(self, query: exp.Expr, scope: Scope, reason: str) -> Relation:
        """A query that is not traced: its text, and everything that it could read."""
        own = {each.alias.lower() for each in query.find_all(exp.CTE)}
        read = [
            scope.ctes.get(each.name.lower()) or self.open_table(each) or _foreign(each, scope)
            for each in query.find_all(exp.Table)
            if each.db or each.name.lower() not in own
        ]
        text = text_of(query)
        whole = from_anything(text, read, scope.unknown if UNKNOWN in text else ())
        tables = tuple(dict.fromkeys(id for each in read for id in each.tables))
        return Relation({}, whole, whole, lambda name: _column_of(whole, name), tables, missed=reason)


_EPHEMERAL = "__dbt__cte__"
_ALTERED = ("sample", "when", "version", "system_time", "partition", "changes")
_NAMES = ("unnest", "generate_series", "range", "value")
"""The names that engines give to the only column of a function."""


def _column_of(whole: Derivation, name: str) -> Derivation:
    return Derivation(name, (("identity", whole),))


def _foreign(node: exp.Table, scope: Scope) -> Relation:
    """A table of which only the name is known."""
    text = ".".join(part.sql(comments=False) for part in node.parts).lower()
    whole = from_anything(text, (), scope.unknown if UNKNOWN in text else ())
    return Relation({}, whole, whole, lambda name: _column_of(whole, name))


def _function(node: exp.Expr, scope: Scope) -> Relation:
    call = node.this if isinstance(node, (exp.Table, exp.Lateral, exp.Alias)) else node
    alias, offset = node.args.get("alias"), node.args.get("offset")
    names = [each.name for each in alias.args.get("columns") or ()] if isinstance(alias, exp.TableAlias) else []
    if isinstance(node, (exp.Alias, exp.Column)):  # ClickHouse: `array join tags as tag`
        names = [node.alias_or_name]
    elif not names and isinstance(call, (exp.Unnest, exp.GenerateSeries)):
        names = [node.alias, *_NAMES]
    if names:
        names += [offset.name if isinstance(offset, exp.Expr) else "ordinality"]
    expression = read_expression(call)
    return of_function(expression.text, scope.parts(expression), [name.lower() for name in names if name])


def _values(node: exp.Expr, scope: Scope) -> Relation:
    lists = [row.expressions if isinstance(row, exp.Tuple) else [row] for row in node.expressions]
    columns = {
        f"col{place}": Derivation("values", all_parts("transformation", map(scope.derive, column)))
        for place, column in enumerate(zip(*lists, strict=False))
    }
    rows = Derivation(f"{len(lists)} rows")
    return Relation(columns, rows, whole_of(rows, columns))
