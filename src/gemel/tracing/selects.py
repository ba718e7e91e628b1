"""One SELECT: its sources, the items of its list, and the parts that decide its rows."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from sqlglot import exp

from gemel.dbt.templates import UNKNOWN
from gemel.tracing.derivations import Derivation, Part
from gemel.tracing.expressions import Expression, read_expression, root_of
from gemel.tracing.relations import (
    TWICE,
    Relation,
    Unreadable,
    Unresolved,
    all_parts,
    from_anything,
    open_wholes,
    whole_of,
)
from gemel.tracing.scopes import Scope

Source = Callable[[exp.Expr, Scope], Relation]
"""An item of FROM to its relation."""


def select(tree: exp.Select, scope: Scope, source: Source) -> Relation:
    """`scope` is an empty scope for this SELECT. Raises Unreadable."""
    beside: list[Relation] = []
    joins = list(_read_from(tree, scope, source, beside))
    expressions = [read_expression(each.unalias()) for each in tree.expressions]
    items = _Items(scope)
    for item, expression in zip(tree.expressions, expressions, strict=True):
        items.add(item, expression)
    if tree.args.get("exclude") or tree.args.get("pivots"):
        raise Unreadable("columns are taken out of its whole list")
    sources = [*scope.sources.values(), *beside]
    for each in sources:
        if each.missed or "" in each.gaps:
            scope.gaps.setdefault("", each.missed or each.gaps[""])
    parts: list[Part] = [*all_parts("identity", (each.rows for each in sources)), *joins]
    deciding = list(_row_parts(tree, scope, expressions, items))
    if len(parts) == 1 and not deciding:
        rows = sources[0].rows  # the same rows, whatever the list computes
    else:
        rows = Derivation(f"rows {len(sources)}", (*parts, *deciding))
    whole = whole_of(rows, items.written, *items.wholes)
    tables = tuple(dict.fromkeys(id for each in sources for id in each.tables))
    return Relation(items.columns, rows, whole, items.rest if items.open else None, tables, scope.gaps)


# --- FROM -----------------------------------------------------------------------------------------------------


def _read_from(tree: exp.Expr, scope: Scope, source: Source, beside: list[Relation]) -> Iterator[Part]:
    """Fill the sources, and yield how the joins decide rows. The tables of SEMI and ANTI joins go into `beside`: their
    columns are not visible."""
    from_ = tree.args.get("from_")
    items = [*_items(from_.this)] if from_ is not None else []
    items += [item for join in tree.args.get("joins") or () for item in _items(join.this, join)]
    items += [(each, None) for each in tree.args.get("laterals") or ()]
    for node, join in items:
        relation = source(node, scope)
        name = _name(node) or f"#{len(scope.sources)}"
        inner = scope
        if join is not None:
            yield from _join_parts(join, relation, scope)
        if join is not None and str(join.args.get("kind") or "").upper() in ("SEMI", "ANTI"):
            beside.append(relation)
            inner = replace(scope, sources={**scope.sources, name: relation})
        else:
            scope.sources[name] = relation
        for key in ("on", "match_condition"):
            if join is not None and isinstance(condition := join.args.get(key), exp.Expr):
                yield "join", inner.derive_or_all(condition)


def _items(node: exp.Expr, join: exp.Expr | None = None) -> Iterator[tuple[exp.Expr, exp.Expr | None]]:
    """A source with its join, and the sources joined to it; brackets around a join have no meaning."""
    if isinstance(node, exp.Subquery) and not isinstance(node.this, exp.Query) and not node.alias:
        yield from _items(node.this, join)
    else:
        yield node, join
    if not (isinstance(node, exp.Subquery) and node.alias):
        for inner in node.args.get("joins") or ():
            yield from _items(inner.this, inner)


def _name(node: exp.Expr) -> str:
    pivots = node.args.get("pivots") or ()
    name = next((each.alias for each in pivots if each.alias), node.alias)
    if not name and isinstance(node, exp.Table) and not isinstance(node.this, exp.Func):
        name = node.name
    return str(name).lower()


def _join_parts(join: exp.Expr, relation: Relation, scope: Scope) -> Iterator[Part]:
    """How a join decides rows, apart from its condition. The columns that it merges become keys of the scope."""
    method, side, kind = (str(join.args.get(key) or "").upper() for key in ("method", "side", "kind"))
    yield "identity", Derivation(f"join {method} {side} {kind}")
    sources = list(scope.sources.values())
    names = [each.name.lower() for each in join.args.get("using") or ()]
    if method == "NATURAL":
        if any(each.rest is not None for each in (*sources, relation)):
            scope.gaps.setdefault("", "a NATURAL JOIN is by the columns that its tables share, and not all are known")
            yield "join", from_anything("natural", (*sources, relation))
        names = [name for name in relation.columns if any(name in each.columns for each in sources)]
    for name in names:
        left = scope.keys.get(name) or next((each for source in sources if (each := source.get(name))), None)
        sides = [each for each in (left, relation.get(name)) if each is not None]
        yield from all_parts("join", sides)
        if side == "FULL":
            scope.keys[name] = Derivation("coalesce", all_parts("identity", sides))
        elif kind not in ("SEMI", "ANTI") and sides:
            scope.keys[name] = sides[-1] if side == "RIGHT" else sides[0]


# --- the SELECT list ------------------------------------------------------------------------------------------


class _Items:
    """The columns, as they are added. For each star over a table with undeclared columns, `open` derives a column by
    its name, and `wholes` has all of them; the declared columns of such a star are not in `written`."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.columns: dict[str, Derivation] = {}
        self.written: dict[str, Derivation] = {}
        self.open: list[Callable[[str], Derivation | None]] = []
        self.wholes: list[Derivation] = []

    def rest(self, name: str) -> Derivation | None:
        columns = [each for get in self.open if (each := get(name)) is not None]
        return Derivation("", all_parts("identity", columns)) if columns else None

    def add(self, item: exp.Expr, expression: Expression) -> None:
        """Raises Unreadable."""
        star = item.this if isinstance(item, exp.Column) else item
        if isinstance(star, exp.Star):
            self._add_star(star, item.text("table").lower())
            return
        for leaf, _ in expression.leaves:
            if isinstance(leaf, exp.Columns) or (isinstance(leaf, exp.Star) and leaf.parent is item):
                raise Unreadable("COLUMNS() chooses its columns by a pattern")
        name = item.alias_or_name.lower() or item.sql().lower()
        if name.startswith(UNKNOWN):  # `{{ dbt_utils.star(…) }}`: any number of columns
            whole = self.scope.everything(name)
            self.open.append(lambda column: Derivation(column, (("identity", whole),)))
            self.wholes.append(whole)
            return
        try:
            derivation = self.scope.derive_read(expression)
        except Unreadable:
            raise
        except Unresolved as unresolved:
            derivation = self.scope.everything(expression.text)
            self.scope.gaps[name] = str(unresolved)
        named = [root[0].name.lower() for leaf, _ in expression.leaves if (root := root_of(leaf)) is not None]
        for each in [alias.name.lower() for alias in item.expressions] if isinstance(item, exp.Aliases) else [name]:
            self._put(each, derivation)
            if each not in named:  # else that name means the column elsewhere too
                self.scope.aliases.setdefault(each, derivation)

    def _put(self, name: str, derivation: Derivation) -> None:
        name = f"{name}{TWICE}{len(self.columns)}" if name in self.columns else name
        self.columns[name] = self.written[name] = derivation

    def _add_star(self, star: exp.Star, table: str) -> None:
        if star.args.get("ilike"):
            raise Unreadable("a pattern chooses its columns")
        scope = self.scope
        relations = [scope.source(table)] if table else list(scope.sources.values())
        keys = {} if table else dict(scope.keys)
        excluded = {each.name.lower() for each in star.args.get("except_") or ()}
        names = {each.this.name.lower(): each.alias.lower() for each in star.args.get("rename") or ()}
        replaced = {each.alias.lower(): scope.derive_or_all(each.this) for each in star.args.get("replace") or ()}
        merged: set[str] = set()
        for relation in relations:
            for name, each in relation.columns.items():
                if name in excluded or name in merged:
                    continue
                merged |= {name} & keys.keys()
                if relation.rest is None or name in replaced:
                    self._put(names.get(name, name), replaced.get(name) or keys.get(name) or each)
                else:
                    self.columns.setdefault(names.get(name, name), keys.get(name) or each)
            for name, reason in relation.gaps.items():
                scope.gaps.setdefault(name, reason)
        open_ = [each for each in relations if each.rest is not None]
        if not open_:
            return
        olds = {new: name for name, new in names.items()}

        def rest(name: str) -> Derivation | None:
            old = olds.get(name, name)
            if name in excluded or (old == name and name in names):
                return None
            if old in replaced or old in keys:
                return replaced.get(old) or keys[old]
            # A column of one of several tables, and it is not certain which.
            return open_[0].get(old) if len(open_) == 1 else from_anything(name, open_)

        for name in (*names.values(), *replaced):
            if name not in self.columns and (derivation := rest(name)) is not None:
                self._put(name, derivation)
        self.open.append(rest)
        self.wholes.append(
            Derivation(f"star {sorted(excluded)}", all_parts("identity", (each.whole for each in open_)))
        )


# --- rows -----------------------------------------------------------------------------------------------------


def _row_parts(tree: exp.Expr, scope: Scope, expressions: list[Expression], items: _Items) -> Iterator[Part]:
    """The parts that decide which rows there are, apart from FROM."""
    for key in ("where", "prewhere", "connect", "match", "having", "qualify", "sample"):
        if isinstance(clause := tree.args.get(key), exp.Expr):
            yield "filter", scope.derive_or_all(clause)
    group = tree.args.get("group")
    if group is not None:
        yield "identity", Derivation(f"group {sorted(key for key, value in group.args.items() if value)}")
        yield from all_parts("group_by", (scope.key(each, items.columns) for each in group.expressions))
        for key in ("grouping_sets", "cube", "rollup"):
            for each in group.args.get(key) or ():
                yield "group_by", scope.derive_or_all(each)
        if group.args.get("all"):
            keys = [each for each in expressions if not each.aggregates]
            yield from all_parts("group_by", (scope.derive_or_all(each.tree) for each in keys))
    elif any(each.aggregates for each in expressions):
        yield "identity", Derivation("one group")
    for each in expressions:
        for call in each.multipliers:
            yield "join", scope.derive_or_all(call)
    distinct, order = tree.args.get("distinct"), tree.args.get("order")
    first = distinct.args.get("on") if distinct is not None else None
    if distinct is not None and first is None:
        whole = (*items.written.values(), *open_wholes(scope.sources.values() if items.open else ()))
        yield from (("identity", Derivation("distinct")), *all_parts("group_by", whole))
    elif first is not None:
        yield "identity", Derivation("distinct on")
        yield from all_parts("group_by", (scope.key(each, items.columns) for each in first.expressions))
    cuts = [each for key in ("limit", "offset") if (each := tree.args.get(key)) is not None]
    if order is not None and (cuts or first is not None or isinstance(tree.parent, exp.Array)):
        yield from all_parts("sort", (scope.key(each, items.columns) for each in order.expressions))
    yield from all_parts("sort", (scope.derive_or_all(each) for each in cuts))
