"""A DuckDB beside a server. A table is copied into it when SQL first names it, and disappears with it.

Training sets are thus built in one place, whatever the warehouse.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlglot import exp, parse_one

from gemel.engines.connections.arrow import arrow_array
from gemel.engines.connections.duckdb_errors import translate_errors
from gemel.engines.connections.scratch import Scratch

if TYPE_CHECKING:
    import duckdb
    import pyarrow

    from gemel.engines.connections.postgres import Warehouse

REPLACED_TYPES = {"UNKNOWN": "VARCHAR", "DECIMAL": "DOUBLE", "TIMESTAMP WITH TIME ZONE": "TIMESTAMP"}
"""DuckDB has no type for a decimal without a fixed scale, nor for the types that gemel does not know. Times with a zone
become times in UTC."""


def borrow(lender: "Warehouse", database: str, temp: Path) -> "Borrower":
    """A DuckDB for the tables of `lender`, under the name of its database, in the folder `temp`."""
    import duckdb

    safe: dict[str, Any] = {"python_enable_replacements": False, "autoinstall_known_extensions": False}
    connection = duckdb.connect(config={**safe, "temp_directory": str(temp)})
    with translate_errors():
        connection.execute(f"SET GLOBAL TimeZone = {_literal(lender.timezone)}")
        connection.execute(f"ATTACH {_literal(str(temp / 'borrowed.duckdb'))} AS {_name(database)}")
        connection.execute(f"USE {_name(database)}")
    return Borrower(connection, lender, database)


class Borrower(Scratch):
    """A Scratch over tables that are fetched when SQL first names them."""

    def __init__(
        self,
        connection: "duckdb.DuckDBPyConnection",
        lender: "Warehouse",
        database: str,
        fetched: set[str] | None = None,
    ) -> None:
        super().__init__(connection)
        self._lender = lender
        self._database = database
        self._copied: set[str] = set() if fetched is None else fetched

    def beside(self) -> "Borrower":
        """Another Borrower over the same copies, with tables of its own. Close it before this one."""
        with translate_errors():
            connection = self._connection.cursor()
            connection.execute(f"USE {_name(self._database)}")
        return Borrower(connection, self._lender, self._database, self._copied)

    def make(self, table: str, sql: str) -> int:
        return super().make(table, self._fetched(sql))

    def describe(self, sql: str) -> tuple[tuple[str, str], ...]:
        return super().describe(self._fetched(sql))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return super().rows(self._fetched(sql))

    def stream(self, sql: str, *, size: int) -> tuple["pyarrow.Schema", Iterator["pyarrow.RecordBatch"]]:
        return super().stream(self._fetched(sql), size=size)

    def _fetched(self, sql: str) -> str:
        """Copy every table of the server that the SQL names; return the SQL."""
        for table in parse_one(sql, dialect="duckdb").find_all(exp.Table):
            if table.db and table.catalog != "temp":
                plain = exp.Table(this=table.this, db=table.args["db"]).sql("postgres", identify=True)
                if plain not in self._copied:
                    self._fetch(plain, table.db)
                    self._copied.add(plain)
        return sql

    def _fetch(self, table: str, schema: str) -> None:
        import pyarrow

        described = [
            (name, REPLACED_TYPES.get(kind, kind)) for name, kind in self._lender.describe(f"SELECT * FROM {table}")
        ]
        with translate_errors():
            self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_name(schema)}")
            columns = ", ".join(f"{_name(name)} {kind}" for name, kind in described)
            self._connection.execute(f"CREATE TABLE {table} ({columns})")
        names = [name for name, _ in described]
        for rows in self._lender.batches(f"SELECT * FROM {table}"):
            columns_ = zip(*rows, strict=True)
            arrays = [arrow_array(list(values), kind) for values, (_, kind) in zip(columns_, described, strict=True)]
            batch = pyarrow.Table.from_arrays(arrays, names=names)
            with translate_errors():
                self._connection.register("fetched", batch)
                self._connection.execute(f"INSERT INTO {table} SELECT * FROM fetched")
                self._connection.unregister("fetched")


def _name(name: str) -> str:
    return exp.to_identifier(name, quoted=True).sql("duckdb")


def _literal(text: str) -> str:
    return exp.Literal.string(text).sql("duckdb")
