"""Relations that DuckDB reads for Feast: a tree to select from, and a connection with its file attached."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from gemel.engines.connections.duckdb_errors import translate_errors
from gemel.engines.duckdb import DIALECT
from gemel.errors import BridgeError, WarehouseError, did_you_mean

if TYPE_CHECKING:
    import duckdb
    import pyarrow


@dataclass(frozen=True)
class Relation:
    """A tree to select from, and the DuckDB file with its tables, if there is one."""

    name: str
    tree: exp.Expr
    database: Path | None = None

    def column(self, types: Mapping[str, str], name: str, mapping: Mapping[str, str]) -> str:
        """The name, in the source, of the column that Feast calls `name`. `types` has the source's columns.

        Raises BridgeError (G543).
        """
        own = next((old for old, new in mapping.items() if new == name), name)
        for candidate in (own, name):
            if candidate in types:
                return candidate
        raise BridgeError("G543", f"source {self.name!r} has no column {own!r}", hint=did_you_mean(own, types))


def verbatim(query: str) -> exp.Expr:
    """`(query)` as the user wrote it, to be parsed by DuckDB only."""
    return exp.Subquery(this=exp.Var(this=f"\n{query.strip().rstrip(';')}\n"))


@contextmanager
def open_database(database: Path | None, *, write: bool = False) -> "Iterator[duckdb.DuckDBPyConnection]":
    """A connection whose unqualified names are those of the file. It is closed at the end, as dbt may want to write.

    Raises WarehouseError for the file, and for SQL that the block runs.
    """
    import duckdb

    config: dict[str, Any] = {
        "python_enable_replacements": False,
        "autoinstall_known_extensions": False,
        "TimeZone": "UTC",
    }
    connection = duckdb.connect(":memory:", config=config)
    try:
        with translate_errors():
            if database is not None:
                if not database.is_file() and not write:
                    raise WarehouseError(
                        "G401", f"the DuckDB file {database} does not exist", hint="create it with `dbt build`"
                    )
                # Under its own name, as DuckDB would: views in the file may refer to `shop.main.sales`.
                name = exp.to_identifier(database.name.split(".")[0], quoted=True).sql(DIALECT)
                read_only = "" if write else "(READ_ONLY)"
                connection.execute(f"ATTACH {exp.Literal.string(str(database)).sql(DIALECT)} AS {name} {read_only}")
                connection.execute(f"USE {name}")
            yield connection
    finally:
        connection.close()


def run(connection: "duckdb.DuckDBPyConnection", select: exp.Expr) -> "pyarrow.Table":
    with translate_errors():
        return connection.sql(select.sql(DIALECT)).to_arrow_table()


def describe(connection: "duckdb.DuckDBPyConnection", relation: Relation) -> dict[str, str]:
    """The columns and their DuckDB types."""
    select = exp.select("*").from_(aliased(relation.tree, "source"))
    with translate_errors():
        return {name: kind for name, kind, *_ in connection.execute(f"DESCRIBE {select.sql(DIALECT)}").fetchall()}


def columns_of(relation: Relation) -> dict[str, str]:
    with open_database(relation.database) as connection:
        return describe(connection, relation)


def arrow_schema(relation: Relation) -> "pyarrow.Schema":
    with open_database(relation.database) as connection:
        return run(connection, exp.select("*").from_(aliased(relation.tree, "source")).limit(0)).schema


def aliased(tree: exp.Expr, name: str) -> exp.Expr:
    copied = tree.copy()
    copied.set("alias", exp.TableAlias(this=exp.to_identifier(name)))
    return copied
