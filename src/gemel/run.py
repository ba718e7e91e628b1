"""The one way in which SQL reaches an engine. What stands here holds for every question, check, table and training set.

Two things go past it: dbt's own runs (`gemel.dbt.running`), and `gemel.feast`, which lives in Feast's process.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from gemel.compiler.compiled import Compiled
from gemel.engines.duckdb import DIALECT
from gemel.errors import QueryError
from gemel.spec.principal import OWNER, Principal

if TYPE_CHECKING:
    import pyarrow

    from gemel.dbt.profile import Target
    from gemel.engines.connections.duckdb import Scratch
    from gemel.engines.connections.opening import Result, Warehouse

Described = tuple[tuple[str, str], ...]
"""The names and types of columns, types in DuckDB's words: `(("revenue", "DECIMAL(38,2)"),)`."""


class Runner:
    """A warehouse, asked on behalf of a principal. It is opened by the first question."""

    def __init__(self, warehouse: "Warehouse", principal: Principal = OWNER) -> None:
        self.principal = principal
        self._warehouse = warehouse

    @property
    def dialect(self) -> str:
        return self._warehouse.dialect

    def rows(self, compiled: Compiled) -> "Result":
        """The rows: bound now, run when they are asked for. Raises WarehouseError (G4xx), QueryError (G342)."""
        return self._warehouse.run(_checked(compiled, self.dialect))

    def batches(self, compiled: Compiled) -> Iterator[list[tuple[Any, ...]]]:
        """The rows, some at a time, of a result that need not fit into memory."""
        return self._warehouse.batches(_checked(compiled, self.dialect))

    def describe(self, compiled: Compiled) -> Described:
        """The columns that there would be. The SQL is bound, and not run."""
        return self._warehouse.describe(_checked(compiled, self.dialect))

    def check_connection(self) -> None:
        """Raises WarehouseError where the warehouse cannot be asked at all."""
        self._warehouse.describe("SELECT 1")

    def catalogs(self) -> frozenset[str]:
        """The database names that SQL can use here."""
        return self._warehouse.catalogs()

    def is_utc(self, target: "Target | None") -> bool:
        """Whether dbt's sessions here are surely in UTC."""
        from gemel.engines.connections.opening import is_utc

        return is_utc(self._warehouse, target)

    def scratch(self, temp: Path) -> "ScratchRunner":
        """A DuckDB in which tables can be made of the warehouse's; what does not fit into memory goes to `temp`."""
        return ScratchRunner(self._warehouse.scratch(temp), self.principal)

    @contextmanager
    def scratches(self) -> "Iterator[OpenScratch]":
        """What opens scratches, one after another; a table that has to be copied for them is copied once for all."""
        with self._warehouse.scratches() as open_one:
            yield lambda temp: ScratchRunner(open_one(temp), self.principal)

    def close(self) -> None:
        """Let go of the database; the next question opens it again."""
        self._warehouse.close()


class ScratchRunner:
    """A DuckDB of our own, in which tables are made: over a warehouse's tables, over files, or over nothing at all."""

    dialect = DIALECT

    def __init__(self, scratch: "Scratch", principal: Principal = OWNER) -> None:
        self.principal = principal
        self._scratch = scratch

    def rows(self, compiled: Compiled) -> list[tuple[Any, ...]]:
        """Plain Python values, a tuple a row. Raises WarehouseError."""
        return self._scratch.rows(_checked(compiled, self.dialect))

    def stream(self, compiled: Compiled, *, size: int) -> "tuple[pyarrow.Schema, Iterator[pyarrow.RecordBatch]]":
        """The rows in batches of `size`, one result at a time."""
        return self._scratch.stream(_checked(compiled, self.dialect), size=size)

    def arrow(self, compiled: Compiled) -> "pyarrow.Table":
        """A pyarrow Table."""
        return self._scratch.arrow(_checked(compiled, self.dialect))

    def describe(self, compiled: Compiled) -> Described:
        """The columns that there would be. The SQL is bound, and not run."""
        return self._scratch.describe(_checked(compiled, self.dialect))

    def into(self, table: str, compiled: Compiled) -> int:
        """Make the rows `temp.main.<table>`; how many there are."""
        return self._scratch.make(table, _checked(compiled, self.dialect))

    def take(self, table: str, rows: "pyarrow.RecordBatchReader") -> int:
        """Rows of Arrow as `temp.main.<table>`; how many there are."""
        return self._scratch.take(table, rows)

    def declare(self, schema: str, table: str, columns: Mapping[str, str]) -> None:
        """An empty table with columns of these types."""
        self._scratch.declare(schema, table, columns)

    def register(self, table: str, rows: "pyarrow.Table") -> None:
        """An Arrow table under a name, where it is."""
        self._scratch.register(table, rows)

    def drop(self, table: str) -> None:
        """Forget a table that was made."""
        self._scratch.drop(table)

    def threads(self) -> int:
        """How many there are for a query."""
        return self._scratch.threads()

    def is_select(self, text: str) -> bool:
        """Whether a text is one SELECT and nothing else. Raises WarehouseError where it is no SQL."""
        return self._scratch.is_select(text)

    def close(self) -> None:
        self._scratch.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


OpenScratch = Callable[[Path], ScratchRunner]
"""Opens a scratch whose temporary files go into a folder."""


def open_empty(*, temp: Path | None = None, memory: str | None = None) -> ScratchRunner:
    """A DuckDB over nothing, for rows of files and of Arrow. `memory` is a size, `600MB`."""
    from gemel.engines.connections.duckdb import open_empty as open_

    return ScratchRunner(open_(temp, memory))


def _checked(compiled: Compiled, dialect: str) -> str:
    if compiled.dialect != dialect:
        raise QueryError(
            "G342",
            f"this SQL is {compiled.dialect}'s, and the rows are in {dialect}",
            hint="take the answer's .sql, or leave the dialect away",
        )
    return compiled.sql
