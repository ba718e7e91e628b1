"""A DuckDB connection in which tables can be made, for training sets, checks of features and tables from files."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from gemel.engines.connections.duckdb_errors import translate_errors
from gemel.engines.connections.duckdb_opening import SAFE, quoted
from gemel.engines.connections.interrupting import run as run_interruptible
from gemel.errors import WarehouseError

if TYPE_CHECKING:
    import duckdb
    import pyarrow

T = TypeVar("T")


def open_empty(temp: Path | None, memory: str | None) -> "Scratch":
    """An empty DuckDB. What does not fit into `memory` goes into the folder `temp`."""
    import duckdb

    settings = {"temp_directory": str(temp) if temp else None, "memory_limit": memory}
    config: dict[str, Any] = {**SAFE, **{name: value for name, value in settings.items() if value is not None}}
    with translate_errors():
        return Scratch(duckdb.connect(config=config))


class Scratch:
    """A separate connection to the same databases, in which tables can be made. Closing it removes them.

    What does not fit into memory goes into a folder; see Warehouse.scratch.
    """

    def __init__(self, connection: "duckdb.DuckDBPyConnection") -> None:
        self._connection = connection

    def make(self, table: str, sql: str) -> int:
        """Store the rows of `sql` as `temp.main.<table>`; return their number. Raises WarehouseError."""
        statement = f"CREATE TEMP TABLE {quoted(table)} AS {sql}"
        return int(_interruptible(self._connection, lambda: self._connection.execute(statement).fetchall())[0][0])

    def drop(self, table: str) -> None:
        """Drop a table that `make` or `take` stored."""
        with translate_errors():
            self._connection.execute(f"DROP TABLE temp.main.{quoted(table)}")

    def threads(self) -> int:
        """The number of threads of a query."""
        return int(self.rows("SELECT current_setting('threads')")[0][0])

    def take(self, table: str, rows: "pyarrow.RecordBatchReader") -> int:
        """Store Arrow rows as `temp.main.<table>`; return their number."""
        self._connection.register(f"{table}_rows", rows)
        count = self.make(table, f"SELECT * FROM {quoted(f'{table}_rows')}")
        self._connection.unregister(f"{table}_rows")
        return count

    def declare(self, schema: str, table: str, columns: Mapping[str, str]) -> None:
        """Create an empty table with columns of these types."""
        typed = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
        with translate_errors():
            self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
            self._connection.execute(f"CREATE TABLE {quoted(schema)}.{quoted(table)} ({typed})")

    def register(self, table: str, rows: "pyarrow.Table") -> None:
        """Register an Arrow table under a name, without copying it."""
        self._connection.register(table, rows)

    def describe(self, sql: str) -> tuple[tuple[str, str], ...]:
        """As Warehouse.describe."""
        with translate_errors():
            described = self._connection.execute(f"DESCRIBE {sql}").fetchall()
        return tuple((str(name), str(kind)) for name, kind, *_ in described)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Plain Python values, a tuple a row."""
        return _interruptible(self._connection, lambda: self._connection.execute(sql).fetchall())

    def arrow(self, sql: str) -> "pyarrow.Table":
        """A pyarrow Table."""
        return _interruptible(self._connection, lambda: self._connection.sql(sql).to_arrow_table())

    def stream(self, sql: str, *, size: int) -> tuple["pyarrow.Schema", Iterator["pyarrow.RecordBatch"]]:
        """The schema, and the rows in batches of `size`. Only one result can be open at a time."""
        reader = _interruptible(self._connection, lambda: self._connection.sql(sql).to_arrow_reader(size))
        return reader.schema, _batches(self._connection, reader)

    def is_select(self, sql: str) -> bool:
        """Whether the text is one statement, a SELECT. Raises WarehouseError if it is not SQL."""
        import duckdb

        with translate_errors():
            statements = self._connection.extract_statements(sql)
        return [statement.type for statement in statements] == [duckdb.StatementType.SELECT]

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _batches(
    connection: "duckdb.DuckDBPyConnection", reader: "pyarrow.RecordBatchReader"
) -> Iterator["pyarrow.RecordBatch"]:
    import pyarrow

    while True:
        try:
            batch = _interruptible(connection, reader.read_next_batch)
        except StopIteration:
            return
        except (pyarrow.ArrowException, OSError) as error:  # an OSError is how pyarrow reports some of DuckDB's
            raise WarehouseError("G407", str(error).splitlines()[0]) from None
        yield batch


def _interruptible(connection: "duckdb.DuckDBPyConnection", work: Callable[[], T]) -> T:
    with translate_errors():
        return run_interruptible(connection, work)
