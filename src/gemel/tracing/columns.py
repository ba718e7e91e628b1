"""A SELECT to what each of its columns is made of, and its rows. Stars over tables of unknown columns stay open.

The tree is looked at as it was parsed, with the names of windows written out: nothing else is rewritten, so no
rewriting can change what it means.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, build_scope

from gemel.graph.graph import DIRECT, Why
from gemel.tracing.windows import spell_windows

Deps = dict[tuple[str, Why], None]
"""Ids of nodes, each with how it bears on what is made of it. A dict, as an ordered set."""


class Unresolved(ValueError):
    """Why a SELECT cannot be followed by columns."""


@dataclass(slots=True)
class Relation:
    """What the columns and the rows of something in FROM are made of.

    `rest` says it of a column that is not among `columns`, where those are not all: a star over a table of unknown
    columns. `wholes` are the tables that a column which cannot be found may come from.
    """

    columns: dict[str, Deps] = field(default_factory=dict)
    rows: Deps = field(default_factory=dict)
    rest: Callable[[str], Deps] | None = None
    wholes: Deps = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)

    def get(self, name: str) -> Deps | None:
        """None where there is no such column."""
        if name in self.columns:
            return self.columns[name]
        return self.rest(name) if self.rest else None


def resolve_select(tree: exp.Expr, table: Callable[[exp.Table], Relation | None]) -> Relation:
    """`table` gives a relation for each table that the SELECT names; None for one that is part of no lineage.

    Raises Unresolved.
    """
    for identifier in tree.find_all(exp.Identifier):
        identifier.set("this", identifier.name.lower())
    if tree.find(exp.Pivot):
        raise Unresolved("it pivots, and the columns of that are values in rows")
    if tree.find(exp.Columns):
        raise Unresolved("COLUMNS() chooses its columns by a pattern")
    spell_windows(tree)
    scope = build_scope(tree)
    if scope is None:
        raise Unresolved("it is no SELECT")
    return _Reader(table).relation(scope, {})


Sources = Mapping[str, Relation]


class _Reader:
    """One SELECT with all inside it. A scope that comes back to itself, as recursive ones do, adds nothing to it."""

    def __init__(self, table: Callable[[exp.Table], Relation | None]) -> None:
        self._table = table
        self._found: dict[int, Relation] = {}

    def relation(self, scope: Scope, outer: Sources) -> Relation:
        key = id(scope.expression)
        if key not in self._found:
            self._found[key] = Relation()
            made = self._made(scope, outer)
            self._found[key].columns |= made.columns
            self._found[key].rows |= made.rows
            self._found[key].lost |= made.lost
            self._found[key].wholes |= made.wholes
            self._found[key].rest = made.rest
        return self._found[key]

    def _made(self, scope: Scope, outer: Sources) -> Relation:
        tree = scope.expression
        match tree:
            case exp.SetOperation():
                return self._stacked(scope, outer)
            case exp.Select():
                return self._select(scope, outer)
            case exp.Subquery() if scope.subquery_scopes or scope.derived_table_scopes:
                return self.relation((scope.derived_table_scopes or scope.subquery_scopes)[0], outer)
            case exp.Values() | exp.Tuple():
                return _anything({})
            case exp.Table():
                return self._source("", tree, scope, outer)
            case exp.UDTF() | exp.Lateral():
                inside = self._all(tree, scope, outer, {})
                return _anything(inside)
            case _:
                raise Unresolved(f"it has a {type(tree).__name__.lower()}, which is not followed")

    def _stacked(self, scope: Scope, outer: Sources) -> Relation:
        """UNION and its like: columns by their place, or by name where a side's are not known."""
        tree = scope.expression
        left, right = (self.relation(side, outer) for side in scope.set_operation_scopes)
        rows = left.rows | right.rows
        if not isinstance(tree, exp.Union):  # the right side only decides which rows of the left one stay
            rows = rows | _turned((each for deps in right.columns.values() for each in deps), "filter")
            return Relation(left.columns, rows, left.rest, left.wholes, left.lost)
        by_name = bool(tree.args.get("by_name")) or left.rest is not None or right.rest is not None
        columns: dict[str, Deps] = {}
        if by_name:
            for name in dict.fromkeys((*left.columns, *right.columns)):
                columns[name] = (left.get(name) or {}) | (right.get(name) or {})
        else:
            others = list(right.columns.values())
            for place, (name, deps) in enumerate(left.columns.items()):
                columns[name] = deps | (others[place] if place < len(others) else {})
        if tree.args.get("distinct"):
            rows = rows | _turned((each for deps in columns.values() for each in deps), "group_by")
        rests = [side.rest for side in (left, right) if side.rest]
        rest = (lambda name: (left.get(name) or {}) | (right.get(name) or {})) if rests else None
        return Relation(columns, rows, rest, left.wholes | right.wholes, left.lost | right.lost)

    def _select(self, scope: Scope, outer: Sources) -> Relation:
        tree = scope.expression
        sources: dict[str, Relation] = {}
        for name, (node, _) in scope.selected_sources.items():
            sources[name] = _renamed(self._source(name, node, scope, {**outer, **sources}), node)
        for node in tree.args.get("laterals") or []:
            if node.alias_or_name not in sources:
                inside = self._all(node.this, scope, {**outer, **sources}, {})
                sources[node.alias_or_name] = _renamed(_anything(inside), node)
        beside = self._beside(scope, outer)
        here = _Here(self, scope, sources, {**outer, **beside}, beside)
        made = Relation(wholes={key: None for each in (*sources.values(), *beside.values()) for key in each.wholes})
        for projection in tree.expressions:
            here.project(projection, made)
        made.rows = here.rows(tree, made)
        return made

    def _beside(self, scope: Scope, outer: Sources) -> dict[str, Relation]:
        """What SEMI and ANTI joins look at: it decides which rows stay, and has no columns in them."""
        found: dict[str, Relation] = {}
        for join in scope.expression.args.get("joins") or []:
            if str(join.args.get("kind") or "").upper() in ("SEMI", "ANTI"):
                name, node = join.this.alias_or_name, join.this
                found[name] = _renamed(self._source(name, node, scope, outer), node)
        return found

    def _source(self, name: str, node: exp.Expr, scope: Scope, outer: Sources) -> Relation:
        found = scope.sources.get(name, node)
        if isinstance(node, exp.Table) and node.name.startswith("__dbt__cte__"):
            ephemeral = self._table(node)
            if ephemeral is not None:
                return ephemeral
        if isinstance(found, Scope):
            made = self.relation(found, outer)
            around = found.expression.parent
            while isinstance(around, exp.SetOperation):  # the first side of a recursive one, which it comes back to
                around = around.parent
            return _renamed(made, around) if isinstance(around, (exp.CTE, exp.Subquery)) else made
        if isinstance(found, exp.Table):
            if isinstance(found.this, exp.Func) and self._table(found) is None:
                inside = self._all(found.this, scope, outer, {})
                return _anything(inside)
            return self._table(found) or _anything({})
        inside = self._all(found, scope, outer, {})
        return _anything(inside)

    def _all(self, tree: exp.Expr, scope: Scope, outer: Sources, sources: Sources) -> Deps:
        return _Here(self, scope, sources, outer).deps(tree)


@dataclass(frozen=True, slots=True)
class _Here:
    """The inside of one SELECT: which names mean what there."""

    reader: _Reader
    scope: Scope
    sources: Sources
    outer: Sources
    beside: Sources = field(default_factory=dict)
    aliases: dict[str, Deps] = field(default_factory=dict)

    def project(self, projection: exp.Expr, made: Relation) -> None:
        """Add one item of the SELECT list to what is made."""
        star = projection.this if isinstance(projection, exp.Column) else projection
        if isinstance(star, exp.Star):
            table = projection.text("table") if isinstance(projection, exp.Column) else ""
            self._star(star, [self._named(table)] if table else list(self.sources.values()), made)
            return
        names = [each.name for each in projection.expressions] if isinstance(projection, exp.Aliases) else []
        name = projection.alias_or_name or projection.sql().lower()
        body = projection.unalias()
        try:
            deps = self.deps(body)
        except Unresolved as unresolved:
            deps = dict(made.wholes)
            made.lost[name] = str(unresolved)
        for each in names or [name]:
            made.columns[each] = deps
            self.aliases.setdefault(each, deps)

    def _star(self, star: exp.Star, of: list[Relation], made: Relation) -> None:
        left_out = {each.name for each in star.args.get("except_") or star.args.get("except") or []}
        renames = {each.this.name: each.alias for each in star.args.get("rename") or [] if isinstance(each, exp.Alias)}
        for relation in of:
            for name, deps in relation.columns.items():
                if name not in left_out:
                    made.columns.setdefault(renames.get(name, name), deps)
            made.lost |= relation.lost
        for each in star.args.get("replace") or []:
            made.columns[each.alias_or_name] = self.deps(each.unalias())
        rests = [relation for relation in of if relation.rest]
        if rests:
            before = made.rest

            def rest(name: str) -> Deps:
                found = before(name) if before else {}
                for relation in rests:
                    found = found | (relation.get(name) or {})
                return found

            def unsure(name: str) -> Deps:
                """A column of one of several tables, and nobody knows of which."""
                return {key: None for relation in rests for key in relation.wholes}

            made.rest = rest if len(rests) == 1 else unsure

    def deps(self, tree: exp.Expr) -> Deps:
        """What an expression is made of. Raises Unresolved."""
        found: Deps = {}
        for node, why in _leaves(tree):
            if isinstance(node, exp.Column):
                found |= _through(self.column(node), why)
            else:
                inner = self._subquery(node)
                deps = {key: None for each in inner.columns.values() for key in each}
                exists = isinstance(node.parent, exp.Exists)
                found |= _turned(deps, "filter") if exists else _through(deps, why)
                found |= _turned(inner.rows, "filter")
        return found

    def column(self, column: exp.Column) -> Deps:
        """Raises Unresolved."""
        name = column.name
        table = column.text("table")
        if table:
            found = self._named(table).get(name)
            if found is None:
                raise Unresolved(f"{table}.{name} is not found")
            return found
        known = [each for each in self.sources.values() if name in each.columns]
        if known:  # several where the join says USING
            return {key: None for each in known for key in each.columns[name]}
        open_ = [each for each in self.sources.values() if each.rest]
        if name in self.aliases and not (open_ and len(self.sources) == 1 and name not in self.aliases):
            return self.aliases[name]
        if name in self.sources and self.sources[name].columns:  # a whole row, as a value
            row = self.sources[name]
            return {key: None for deps in row.columns.values() for key in deps} | row.wholes
        if len(open_) == 1 and open_[0].rest is not None:
            # Called like its table, it may be a column or the whole row.
            return open_[0].rest(name) | (self.sources[name].wholes if name in self.sources else {})
        if open_:
            told = " or ".join(key for key, each in self.sources.items() if each.rest)
            raise Unresolved(f"{name} is of {told}, whose columns are not known")
        outer = [each for each in self.outer.values() if each.get(name) is not None]
        if outer:
            return outer[0].get(name) or {}
        raise Unresolved(f"{name} is not found")

    def rows(self, tree: exp.Expr, made: Relation) -> Deps:
        """What decides which rows there are."""
        found: Deps = {}
        every = [*self.sources.values(), *self.beside.values()]
        for relation in every:
            found |= relation.rows
        for join in tree.args.get("joins") or []:
            for column in join.args.get("using") or []:
                for relation in every:
                    found |= _turned(relation.get(column.name) or {}, "join")
            if str(join.args.get("method") or "").upper() == "NATURAL":
                found |= self._natural(made)
            if join.args.get("on") is not None:
                found |= self._turned(join.args["on"], "join", made)
        clauses: tuple[tuple[str, Why], ...] = (("where", "filter"), ("having", "filter"), ("qualify", "filter"))
        for clause, why in clauses:
            if tree.args.get(clause) is not None:
                found |= self._turned(tree.args[clause].this, why, made)
        group = tree.args.get("group")
        for each in group.expressions if group is not None else []:
            found |= self._turned(self._meant(each, tree), "group_by", made)
        if group is not None and group.args.get("all"):
            plain = [each for each in tree.expressions if not each.find(exp.AggFunc)]
            for each in plain:
                found |= self._turned(each.unalias(), "group_by", made)
        distinct = tree.args.get("distinct")
        first = distinct.args.get("on") if distinct is not None else None
        if distinct is not None and first is None:
            found |= _turned((key for deps in made.columns.values() for key in deps), "group_by")
        order = tree.args.get("order")
        for each in first.expressions if first is not None else []:
            found |= self._turned(self._meant(each, tree), "group_by", made)
        if order is not None and (
            first is not None or any(tree.args.get(key) is not None for key in ("limit", "offset"))
        ):
            for each in order.expressions:
                found |= self._turned(self._meant(each.this, tree), "sort", made)
        return found

    def _natural(self, made: Relation) -> Deps:
        """The columns that several tables have, by which a NATURAL JOIN joins."""
        relations = [*self.sources.values()]
        if any(each.rest for each in relations):
            made.lost.setdefault("", "a NATURAL JOIN is by the columns that its tables share, and not all are known")
            return dict(made.wholes)
        shared = [name for each in relations for name in each.columns]
        shared = [name for name in dict.fromkeys(shared) if shared.count(name) > 1]
        return _turned((key for each in relations for name in shared for key in each.columns.get(name, ())), "join")

    def _turned(self, tree: exp.Expr, why: Why, made: Relation) -> Deps:
        try:
            return _turned(self.deps(tree), why)
        except Unresolved as unresolved:
            made.lost.setdefault("", str(unresolved))
            return dict(made.wholes)

    def _meant(self, tree: exp.Expr, select: exp.Expr) -> exp.Expr:
        """The item of the SELECT list that `GROUP BY 1` means."""
        if isinstance(tree, exp.Literal) and not tree.is_string and tree.this.isdigit():
            place = int(tree.this) - 1
            if place < len(select.expressions):
                item: exp.Expr = select.expressions[place]
                return item.unalias()
        return tree

    def _named(self, table: str) -> Relation:
        found = self.sources.get(table) or self.outer.get(table)
        if found is None:
            raise Unresolved(f"{table} is not found")
        return found

    def _subquery(self, tree: exp.Expr) -> Relation:
        for scope in self.scope.subquery_scopes:
            if scope.expression is tree or scope.expression is tree.this:
                return self.reader.relation(scope, {**self.outer, **self.sources})
        raise Unresolved("it has a SELECT inside that is not followed")


def _leaves(tree: exp.Expr) -> Iterator[tuple[exp.Expr, Why]]:
    """The columns of an expression and the SELECTs inside it, each with how it bears on the value."""
    nodes = tree.walk(prune=lambda node: isinstance(node, (exp.Query, exp.Column)))
    for node in nodes:
        if isinstance(node, exp.Query) or (isinstance(node, exp.Column) and not isinstance(node.this, exp.Star)):
            yield node, bearing(node, tree)


def bearing(node: exp.Expr, top: exp.Expr) -> Why:
    """How a part of an expression bears on its value."""
    why: Why = "identity" if node is top else "transformation"
    while node is not top and node.parent is not None:
        parent, key = node.parent, node.arg_key
        match parent:
            case exp.If() | exp.Case() if key == "this":
                return "conditional"
            case exp.Filter() if key == "expression":
                return "conditional"
            case exp.Window() if key != "this":
                return "window"
            case exp.AggFunc() if not isinstance(parent.parent, exp.Window):
                why = "aggregation"
            case exp.Paren() if why == "transformation" and parent is top and isinstance(parent.this, exp.Column):
                why = "identity"
        node = parent
    return why


_STRENGTH: dict[Why, int] = {"identity": 0, "transformation": 1, "aggregation": 2}


def _through(deps: Iterable[tuple[str, Why]], why: Why) -> Deps:
    """The parts of a value that is itself a part: an indirect bearing stays one; of two direct ones, the stronger."""
    return {(source, stronger(inner, why)): None for source, inner in deps}


def stronger(inner: Why, outer: Why) -> Why:
    """How a part of a part bears on the whole."""
    if inner == "table" or inner not in DIRECT:
        return inner
    if outer not in DIRECT:
        return outer
    return max(inner, outer, key=lambda why: _STRENGTH.get(why, 0))


def _turned(deps: Iterable[tuple[str, Why]], why: Why) -> Deps:
    """The same, bearing on which rows there are. Rows stay rows."""
    return {(source, "rows" if inner == "rows" else why if inner != "table" else inner): None for source, inner in deps}


def _anything(inside: Deps) -> Relation:
    """What a function in FROM gives: each column may be made of all that the function takes."""
    deps = _through(inside, "transformation")
    return Relation(rest=lambda name: deps)


def _renamed(relation: Relation, node: exp.Expr) -> Relation:
    """Under the column names of an alias, `AS t (a, b)`, by place."""
    alias = node.args.get("alias")
    names = [each.name for each in alias.args.get("columns") or []] if isinstance(alias, exp.TableAlias) else []
    if not names:
        return relation
    known = list(relation.columns.values())
    if len(known) < len(names) and relation.rest is not None:
        columns = {name: relation.rest(name) for name in names}
    else:
        columns = dict(zip(names, known, strict=False))
    return Relation(columns, relation.rows, None, relation.wholes, relation.lost)
