"""A dbt model's SQL to what its columns and rows are made of: as dbt compiled it, or as written where that is plain.

Where it cannot be followed, the reason is kept, and the model comes of its parents as whole tables.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress

from sqlglot import exp, maybe_parse, parse
from sqlglot.errors import SqlglotError

from gemel.dbt.dag import Table
from gemel.graph.tables import DbtTables, Made
from gemel.tracing.columns import Deps, Relation, Unresolved, resolve_select


def reader(dialect: str) -> Callable[[DbtTables, Table], Made]:
    """What follows a model's SQL, which is of that dialect."""
    everywhere: dict[str, Table] = {}

    def resolve(tables: DbtTables, table: Table) -> Made:
        if not everywhere:
            everywhere.update({name: each for each in tables.dag.tables.values() for name in _places(each)[:2]})
        try:
            return _Model(tables, table, dialect, everywhere).made()
        except Unresolved as unresolved:
            return Made(missed=str(unresolved))
        except SqlglotError as error:
            return Made(missed=f"its SQL cannot be followed: {_first_line(error)}")
        except RecursionError:
            return Made(missed="its SQL is nested too deep")

    return resolve


class _Model:
    """One model, with the tables that it may name: its parents before others."""

    def __init__(self, tables: DbtTables, table: Table, dialect: str, everywhere: Mapping[str, Table]) -> None:
        self._tables = tables
        self._table = table
        self._dialect = dialect
        self._notes: dict[str, None] = {}
        self._everywhere = everywhere
        self._parents = {name: each for each in tables.parents(table) for name in _names(each, dialect)}

    def made(self) -> Made:
        relation = resolve_select(self._tree(), self._relation)
        return Made(
            columns={name: tuple(deps) for name, deps in relation.columns.items()},
            rows=tuple(relation.rows),
            lost={name: reason for name, reason in relation.lost.items() if name},
            notes=(*self._notes, *((relation.lost[""],) if "" in relation.lost else ())),
            rest=relation.rest,
        )

    def _tree(self) -> exp.Expr:
        if self._table.language != "sql":
            raise Unresolved(f"it is a {self._table.language.capitalize()} model")
        sql = self._table.sql or self._plain()
        try:
            statements = [each for each in parse(sql, dialect=self._dialect) if each is not None]
        except (SqlglotError, ValueError) as error:
            raise Unresolved(f"its SQL cannot be parsed: {_first_line(error)}") from None
        if len(statements) != 1:
            raise Unresolved(f"its SQL is {len(statements)} statements")
        return statements[0]

    def _plain(self) -> str:
        """What the user wrote, with its `ref()` and `source()` as names, where nothing else is left to compile."""
        raw = self._table.raw
        if not raw:
            raise Unresolved("target/manifest.json has no SQL of it: run `dbt compile`")
        text = _LITERAL_BLOCKS.sub(" ", raw)
        text = _CALL.sub(self._called, text)
        if "{{" in text or "{%" in text:
            raise Unresolved("it is not compiled, and has more than ref() and source() in it: run `dbt compile`")
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

    def _relation(self, node: exp.Table) -> Relation | None:
        """A table of dbt's, by its columns as far as they are known."""
        text = _text(node, self._dialect)
        found = self._parents.get(text) or self._everywhere.get(text)
        if found is None and not isinstance(node.this, exp.Func):
            self._notes[f"it reads {text}, which dbt does not know of"] = None
        if found is None or found is self._table:
            return None
        tables, whole = self._tables, found

        def rest(name: str) -> Deps:
            return {(tables.id_of(whole, name), "identity"): None}

        made = tables.made(found)
        closed = bool(made.columns) and made.rest is None and made.missed is None
        known = made.columns if closed else dict.fromkeys((*made.columns, *found.columns))
        return Relation(
            columns={name: rest(name) for name in known},
            rows={(tables.rows_of(found), "rows"): None},
            rest=None if closed else rest,
            wholes={(tables.id_of(found), "table"): None},
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
