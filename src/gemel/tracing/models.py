"""A dbt model's SQL to what its columns and rows are made of: as dbt compiled it, or as written where that is plain.

Where it cannot be followed, the reason is kept, and the model comes of its parents as whole tables.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from sqlglot import exp, maybe_parse, parse
from sqlglot.errors import SqlglotError

from gemel.dbt.dag import Table
from gemel.graph.tables import DbtTables
from gemel.tracing.derivations import Derivation
from gemel.tracing.queries import trace
from gemel.tracing.relations import Relation, Unreadable, of_table


def reader(dialect: str) -> Callable[[DbtTables, Table], Relation]:
    """What follows a model's SQL, which is of that dialect."""
    everywhere: dict[str, Table] = {}

    def resolve(tables: DbtTables, table: Table) -> Relation:
        if not everywhere:
            everywhere.update({name: each for each in tables.dag.tables.values() for name in _places(each)[:2]})
        try:
            return _Model(tables, table, dialect, everywhere).relation()
        except Unreadable as unreadable:
            reason = str(unreadable)
        except SqlglotError as error:
            reason = f"its SQL cannot be followed: {_first_line(error)}"
        except RecursionError:
            reason = "its SQL is nested too deep"
        whole = Derivation("", tuple(("table", tables.id_of(each)) for each in tables.parents(table)))
        return Relation({}, whole, whole, lambda name: whole, missed=reason)

    return resolve


class _Model:
    """One model, with the tables that it may name: its parents before others."""

    def __init__(self, tables: DbtTables, table: Table, dialect: str, everywhere: Mapping[str, Table]) -> None:
        self._tables = tables
        self._table = table
        self._dialect = dialect
        self._notes: dict[str, str] = {}
        self._everywhere = everywhere
        self._parents = {name: each for each in tables.parents(table) for name in _names(each, dialect)}

    def relation(self) -> Relation:
        relation = trace(self._tree(), self._opened)
        if relation.missed is not None:
            raise Unreadable(relation.missed)
        return replace(relation, gaps={**relation.gaps, **self._notes})

    def _tree(self) -> exp.Expr:
        if self._table.language != "sql":
            raise Unreadable(f"it is a {self._table.language.capitalize()} model")
        sql = self._table.sql or self._plain()
        try:
            statements = [each for each in parse(sql, dialect=self._dialect) if each is not None]
        except (SqlglotError, ValueError) as error:
            raise Unreadable(f"its SQL cannot be parsed: {_first_line(error)}") from None
        if len(statements) != 1:
            raise Unreadable(f"its SQL is {len(statements)} statements")
        return statements[0]

    def _plain(self) -> str:
        """What the user wrote, with its `ref()` and `source()` as names, where nothing else is left to compile."""
        raw = self._table.raw
        if not raw:
            raise Unreadable("target/manifest.json has no SQL of it: run `dbt compile`")
        text = _LITERAL_BLOCKS.sub(" ", raw)
        text = _CALL.sub(self._called, text)
        if "{{" in text or "{%" in text:
            raise Unreadable("it is not compiled, and has more than ref() and source() in it: run `dbt compile`")
        return text

    def _called(self, match: re.Match[str]) -> str:
        """`{{ ref('orders') }}` as dbt would write it: the name of the parent that is meant."""
        words = re.findall(r"'([^']*)'|\"([^\"]*)\"", match[2])
        names = [one or other for one, other in words]
        version = re.search(r"\bv(?:ersion)?\s*=\s*['\"]?(\w+)", match[2])
        if version and names:
            names = [name for name in names if name != version[1]] or names
        for parent in self._tables.parents(self._table):
            if _is_called(parent, match[1], names, version[1] if version else None):
                return parent.relation or f"__dbt__cte__{parent.name}"
        return match[0]

    def _opened(self, node: exp.Table) -> Relation | None:
        """A table of dbt's, by its columns as far as they are known."""
        text = _text(node, self._dialect)
        found = self._parents.get(text) or self._everywhere.get(text)
        if found is None and not isinstance(node.this, exp.Func):
            self._notes.setdefault("", f"it reads {text}, which dbt does not know of")
        if found is None or found is self._table:
            return None
        tables, table = self._tables, found
        relation = tables.relation(table)
        closed = bool(relation.names) and relation.rest is None
        names = relation.names if closed else dict.fromkeys((*relation.names, *table.columns))
        return of_table(
            tables.id_of(table), tables.rows_of(table), lambda name: tables.id_of(table, name), names, closed=closed
        )


def _is_called(table: Table, call: str, names: list[str], version: str | None) -> bool:
    """Whether `ref()` or `source()` with these names means a table."""
    if table.kind == "source":
        return call == "source" and table.name == ".".join(names)
    plain = table.name.removeprefix(f"{table.package}.")
    base, _, its = plain.rpartition(".v")
    wanted = names[-1] if names else ""
    if len(names) > 1 and names[0] != table.package:
        return False
    return call == "ref" and (wanted == plain or (wanted == base and version in (None, its)))


_LITERAL_BLOCKS = re.compile(r"\{#.*?#\}|\{\{-?\s*config\s*\((?:[^{}]|\{[^{}]*\})*\)\s*-?\}\}", re.DOTALL)
_CALL = re.compile(r"\{\{-?\s*(ref|source)\s*\(([^(){}]*)\)\s*-?\}\}")


def _names(table: Table, dialect: str) -> list[str]:
    """The ways in which the SQL of its children may name a table."""
    names = [*_places(table), f"__dbt__cte__{table.name}".lower()]
    if table.relation:
        with suppress(SqlglotError, ValueError):  # then nothing that can be parsed has it
            names.append(_text(maybe_parse(table.relation, into=exp.Table, dialect=dialect), dialect))
    return names


def _places(table: Table) -> list[str]:
    """`market.main.orders`, `main.orders`, `orders`"""
    parts = [part.lower() for part in table.place or () if part]
    return [".".join(parts[start:]) for start in range(len(parts))]


def _text(node: exp.Expr, dialect: str) -> str:
    """A table without its alias, as a key: `market.main.orders`, `read_parquet('orders.parquet')`."""
    if isinstance(node, exp.Table) and isinstance(node.this, exp.Func):
        return node.this.sql(dialect).lower()
    return ".".join(part.name for part in node.parts).lower() if isinstance(node, exp.Table) else node.sql().lower()


def _first_line(error: BaseException) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    return text.splitlines()[0][:160] if text else type(error).__name__
