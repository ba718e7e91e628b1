"""What the rows and the columns of a SELECT are computed from, as digests that change when that does.

A column is followed through subqueries and CTEs, whose names are no matter, down to the tables. Where SQL cannot be
followed (a table function, a PIVOT, a name that could be of anything), the digest is of more than was needed, so that
a change is never missed.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from sqlglot import exp

from gemel.dbt.rendering import UNKNOWN
from gemel.tracing.windows import spell_windows

Open = Callable[[exp.Table], "Source | None"]
"""The table of that name, where it is one that is known by more than its name."""

_OF_ROWS = ("distinct", "where", "group", "having", "qualify", "sample", "laterals", "pivots")


class Source(Protocol):
    """Rows with columns. `names` are those of the columns that the SQL tells, which a star over a table does not."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def rows(self) -> str:
        """A digest of which rows there are."""
        ...

    @property
    def whole(self) -> str:
        """A digest of everything."""
        ...

    def column(self, name: str) -> str | None:
        """A digest of a column; None where there is surely none of that name."""
        ...


def trace(query: exp.Expr, open_table: Open, ctes: Mapping[str, Source] | None = None, *, unknown: str = "") -> Source:
    """`unknown` is what everything depends on that only dbt can render."""
    scope = dict(ctes or {})
    with_ = query.args.get("with_") or query.args.get("with")
    if with_ is not None:
        if with_.args.get("recursive"):
            return _Opaque(query, open_table, scope, unknown)
        for cte in with_.expressions:
            scope[cte.alias.lower()] = _renamed(cte, trace(cte.this, open_table, scope, unknown=unknown))
    match query:
        case exp.Select():
            return _Selected(query, open_table, scope, unknown)
        case exp.SetOperation():
            sides = [trace(side, open_table, scope, unknown=unknown) for side in (query.left, query.right)]
            return _Stacked(query, sides)
        case exp.Subquery():
            return trace(query.this, open_table, scope, unknown=unknown)
        case _:
            return _Opaque(query, open_table, scope, unknown)


def digest(*parts: str | None) -> str:
    return hashlib.sha256("\0".join(part or "" for part in parts).encode()).hexdigest()[:16]


class _Selected:
    def __init__(self, select: exp.Select, open_table: Open, scope: Mapping[str, Source], unknown: str) -> None:
        if select.args.get("windows"):
            select = select.copy()
            spell_windows(select)
        self.select = select
        self.open_table = open_table
        self.scope = scope
        self.unknown = unknown
        self.sources: dict[str, Source] = {}
        self._told: dict[str, str | None] = {}
        self._rows: str | None = None
        self._whole: str | None = None
        from_ = select.args.get("from_") or select.args.get("from")
        read = [*([from_.this] if from_ else []), *(join.this for join in select.args.get("joins") or [])]
        for place, each in enumerate(read):
            self.sources[(each.alias_or_name or f"#{place}").lower()] = self._source(each)
        self.stars = [each for each in select.expressions if _is_star(each)]
        self.projections: dict[str, exp.Expr] = {}
        for place, each in enumerate(select.expressions):
            if not _is_star(each):
                name = each.alias_or_name.lower()
                self.projections[f"{name}#{place}" if not name or name in self.projections else name] = each.unalias()

    @property
    def names(self) -> tuple[str, ...]:
        own = (
            name
            for name, made in self.projections.items()
            if "#" not in name and not name.startswith(UNKNOWN) and not made.find(exp.Columns)
        )
        return tuple(dict.fromkeys((*own, *(name for star in self.stars for s in self._of(star) for name in s.names))))

    @property
    def rows(self) -> str:
        if self._rows is None and self._passes_on():
            self._rows = next(iter(self.sources.values())).rows
        elif self._rows is None:
            joins = self.select.args.get("joins") or []
            parts = [source.rows for source in self.sources.values()]
            for join in joins:
                parts.append(" ".join(str(join.args.get(key) or "") for key in ("method", "side", "kind")))
                parts += [self.named(exp.column(each.name)) for each in join.args.get("using") or []]
                parts += [self.tell(join.args["on"])] if join.args.get("on") else []
                if str(join.args.get("method") or "").upper() == "NATURAL":  # by whichever names both sides have
                    parts.append(self.everything(""))
            for key in (*_OF_ROWS, *(("order", "limit", "offset") if _chooses_by_order(self.select) else ())):
                value = self.select.args.get(key)
                for each in value if isinstance(value, list) else [value]:
                    parts.append(f"{key}:{self.tell(each)}" if isinstance(each, exp.Expr) else "")
            made = [*self.projections.values()]
            parts += [str(any(map(_aggregates, made))), *(self.tell(each) for each in made if each.find(exp.UDTF))]
            if self._reads_places():
                parts += self._columns()
            self._rows = digest("rows", *parts)
        return self._rows

    @property
    def whole(self) -> str:
        if self._whole is None:
            self._whole = digest("whole", self.rows, *self._columns())
        return self._whole

    def _passes_on(self) -> bool:
        """Whether its rows are those of its only source, whatever is computed beside."""
        made = self.projections.values()
        bare = not any(self.select.args.get(key) for key in (*_OF_ROWS, "joins", "limit", "offset"))
        return bare and len(self.sources) == 1 and not any(_aggregates(e) or e.find(exp.UDTF) for e in made)

    def _reads_places(self) -> bool:
        """Whether which rows there are depends on the columns: DISTINCT, GROUP BY ALL, `group by 1`, `order by 1`."""
        group = self.select.args.get("group")
        order = self.select.args.get("order") if _chooses_by_order(self.select) else None
        keys = [*(group.expressions if group else ()), *(each.this for each in (order.expressions if order else ()))]
        return bool(
            self.select.args.get("distinct")
            or (group and group.args.get("all"))
            or any(isinstance(key, exp.Literal) for key in keys)
        )

    def _columns(self) -> list[str]:
        told = [f"{name}={self.column(name)}" for name in self.projections]
        return told + [digest(each.sql(), *(source.whole for source in self._of(each))) for each in self.stars]

    def column(self, name: str) -> str | None:
        name = name.lower()
        if name not in self._told:
            self._told[name] = None  # while it is being told: an alias may name itself
            self._told[name] = self._column(name)
        return self._told[name]

    def _column(self, name: str) -> str | None:
        if name in self.projections:
            return self.tell(self.projections[name])
        if self.stars:
            found = [(star, source.column(name)) for star in self.stars for source in self._of(star)]
            told = [digest(_changed(star), each) if _changed(star) else each for star, each in found if each]
            if told:
                return told[0] if len(told) == 1 else digest(*told)
        if any(each.startswith(UNKNOWN) for each in self.projections) or self._by_pattern():
            return self.everything(name)
        return None

    def _by_pattern(self) -> list[exp.Expr]:
        """The items whose columns a pattern chooses: `columns('a.*')`."""
        return [each for each in self.projections.values() if each.find(exp.Columns)]

    def everything(self, text: str) -> str:
        return digest(text, self.unknown, *(source.whole for source in self.sources.values()))

    def tell(self, tree: exp.Expr) -> str:
        """An expression with each column told by what it is; a column alone is what it is."""
        while isinstance(tree, exp.Paren):
            tree = tree.this
        if isinstance(tree, exp.Column) and not isinstance(tree.this, exp.Star):
            return self.named(tree)

        def told(node: exp.Expr) -> exp.Expr:
            match node:
                case exp.Column() if not isinstance(node.this, exp.Star):
                    return exp.column(f"c{self.named(node)}")
                case exp.Query():
                    inner = trace(node, self.open_table, self.scope, unknown=self.unknown)
                    # What it takes of the rows around it is not followed: it may be any of them.
                    around = self.everything("") if _looks_around(node) else ""
                    return exp.column(f"q{digest(inner.whole, around, _outline(node))}")
                case exp.Columns():
                    return exp.column(f"s{self.everything(node.sql())}")
                case exp.Star():
                    return node if not self.sources else exp.column(f"s{self.everything(node.sql())}")
            return node

        copied = tree.copy()
        for node in copied.walk():
            node.comments = None
        unknown = self.everything("") if self.unknown and UNKNOWN in tree.sql() else ""
        return digest(repr_of(copied.transform(told)), unknown)

    def named(self, column: exp.Column) -> str:
        table, name = column.table.lower(), column.name.lower()
        if name.startswith(UNKNOWN):
            return self.everything(name)
        if table in self.sources:
            return self.sources[table].column(name) or self.everything(name)
        found = [told for source in self.sources.values() if (told := source.column(name)) is not None]
        if not table and name in self.sources and not any(name in each.names for each in self.sources.values()):
            found.append(self.sources[name].whole)  # a whole row, or a column called like its table
        if not table and found:
            return found[0] if len(found) == 1 else digest(*found)
        if not table and name in self.projections:
            return self.column(name) or ""
        return self.everything(column.sql())

    def _of(self, star: exp.Expr) -> list[Source]:
        table = star.table.lower() if isinstance(star, exp.Column) else ""
        return [self.sources[table]] if table in self.sources else [*self.sources.values()]

    def _source(self, node: exp.Expr) -> Source:
        match node:
            case exp.Table() if not isinstance(node.this, exp.Func) and not _altered(node):
                if not node.db and node.name.lower() in self.scope:
                    return _renamed(node, self.scope[node.name.lower()])
                return _renamed(node, self.open_table(node) or _Table(node))
            case exp.Subquery() if not _altered(node):
                return _renamed(node, trace(node.this, self.open_table, self.scope, unknown=self.unknown))
        # What is made of the rows before it, as UNNEST(a.list) is, depends on them.
        return _renamed(node, _Opaque(node, self.open_table, self.scope, self.everything("")))


class _Stacked:
    """UNION and its like: the n-th column of each side is the n-th of the whole."""

    def __init__(self, query: exp.SetOperation, sides: list[Source]) -> None:
        self.query = query
        self.sides = sides
        self.names = sides[0].names

    @property
    def rows(self) -> str:
        kind = f"{type(self.query).__name__} {self.query.args.get('distinct')} {self.query.args.get('by_name')}"
        kept = [self.query.args.get(key) for key in ("limit", "offset")]
        order = self.query.args.get("order") if any(kept) else None
        looks = self._compares() or order is not None
        sides = [side.whole if looks else side.rows for side in self.sides]
        return digest(kind, *sides, *map(_text, (order, *kept)))

    @property
    def whole(self) -> str:
        return digest(self.rows, *(side.whole for side in self.sides))

    def column(self, name: str) -> str | None:
        names = [each.alias_or_name.lower() for each in self.query.left.selects]
        same = [each.column(name) for each in self.sides]
        if self.query.args.get("by_name") or (any(map(_is_star, self.query.left.selects)) and all(same)):
            return digest(*same) if any(same) else None
        if name.lower() not in names:
            return None if not any(map(_is_star, self.query.left.selects)) else self.whole
        place = names.index(name.lower())
        told: list[str | None] = []
        for side, query in zip(self.sides, (self.query.left, self.query.right), strict=True):
            selects = query.selects
            if any(map(_is_star, selects)) or place >= len(selects):
                return self.whole
            told.append(side.column(selects[place].alias_or_name) if selects[place].alias_or_name else side.whole)
        return digest(*told)

    def _compares(self) -> bool:
        return bool(self.query.args.get("distinct")) or not isinstance(self.query, exp.Union)


class _Table:
    """A table that is known by its name only."""

    def __init__(self, node: exp.Table) -> None:
        plain = node.copy()
        plain.set("alias", None)
        self.rows = self.whole = digest("table", plain.sql(comments=False))
        self.names: tuple[str, ...] = ()

    def column(self, name: str) -> str | None:
        return digest(self.rows, name.lower())


class _Opaque:
    """SQL that is not followed: its text, and everything that it could read."""

    def __init__(self, node: exp.Expr, open_table: Open, scope: Mapping[str, Source], unknown: str) -> None:
        opened = (
            scope.get(table.name.lower()) or open_table(table) or _Table(table) for table in node.find_all(exp.Table)
        )
        parts = [_text(node), unknown, *(each.whole for each in opened)]
        self.rows = self.whole = digest("opaque", *parts)
        self.names: tuple[str, ...] = ()

    def column(self, name: str) -> str | None:
        return digest(self.rows, name.lower())


class _Columns:
    """Rows whose columns have other names here: `as t (a, b)`."""

    def __init__(self, source: Source, names: Iterable[str]) -> None:
        self.source = source
        self.names = tuple(name.lower() for name in names)
        self.rows, self.whole = source.rows, digest(source.whole, *self.names)

    def column(self, name: str) -> str | None:
        return digest(self.source.whole, str(self.names.index(name.lower()))) if name.lower() in self.names else None


def _renamed(node: exp.Expr, source: Source) -> Source:
    alias = node.args.get("alias")
    names = [each.name for each in alias.args.get("columns") or []] if isinstance(alias, exp.TableAlias) else []
    return _Columns(source, names) if names else source


def _altered(node: exp.Expr) -> bool:
    return any(node.args.get(key) for key in ("joins", "pivots", "sample", "laterals", "when", "version", "only"))


def _is_star(node: exp.Expr) -> bool:
    return isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star))


def _chooses_by_order(select: exp.Select) -> bool:
    """Whether the order decides which rows there are, and not only how they stand."""
    distinct = select.args.get("distinct")
    first = distinct is not None and distinct.args.get("on") is not None
    return bool(first or select.args.get("limit") or select.args.get("offset"))


def _changed(star: exp.Expr) -> str:
    """`* exclude (a)`, `* replace (1 as a)`: what it says besides the star."""
    inner = star.this if isinstance(star, exp.Column) else star
    return inner.sql(comments=False) if any(inner.args.values()) else ""


def _aggregates(tree: exp.Expr) -> bool:
    return any(not each.find_ancestor(exp.Window) for each in tree.find_all(exp.AggFunc))


def _looks_around(query: exp.Expr) -> bool:
    """Whether a subquery may name columns of the rows around it."""
    aliases = {each.alias_or_name.lower() for each in query.find_all(exp.Table, exp.Subquery)}
    return any(column.table.lower() not in aliases for column in query.find_all(exp.Column))


def _outline(query: exp.Expr) -> str:
    return " ".join(type(node).__name__ for node in query.walk())


def repr_of(tree: exp.Expr) -> str:
    """The tree as a text: names in lower case where nothing quotes them, brackets around a lone name left out."""
    return "".join(_words(tree))


def _words(node: exp.Expr) -> Iterator[str]:
    while isinstance(node, exp.Paren) and isinstance(node.this, (exp.Column, exp.Literal, exp.Func, exp.Paren)):
        node = node.this
    if isinstance(node, exp.Identifier):
        yield node.name if node.quoted and not node.name.islower() else node.name.lower()
        return
    yield f"({type(node).__name__}"
    for key, value in node.args.items():
        if value is None or value is False or value == []:
            continue
        yield f" {key}="
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, exp.Expr):
                yield from _words(each)
            else:
                yield f"{each!r},"
    yield ")"


def _text(node: exp.Expr | None) -> str:
    if node is None:
        return ""
    copied = node.copy()
    for each in copied.walk():
        each.comments = None
    return repr_of(copied)
