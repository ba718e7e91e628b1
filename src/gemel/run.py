"""The only way for SQL to reach an engine. Rules here apply to every query, check, table and training set.

Two things bypass it: dbt's own runs (`gemel.dbt.running`), and `gemel.feast`, which runs in Feast's process.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sqlglot import exp

from gemel.compiler.compiled import Compiled, JoinedHistory
from gemel.compiler.sql import dialects
from gemel.engines.duckdb import DIALECT
from gemel.engines.engine import Capability
from gemel.engines.lookup import engine_for_dialect
from gemel.engines.whole_numbers import cast_types
from gemel.errors import QueryError, WarehouseError
from gemel.histories import check_histories
from gemel.rounding import Rounding
from gemel.spec.limits import NO_LIMITS, Limits
from gemel.spec.manifest import Relation
from gemel.spec.principal import OWNER, Principal
from gemel.values_in_errors import DiscreetResult, hide_values

if TYPE_CHECKING:
    import pyarrow

    from gemel.dbt.profile import Target
    from gemel.engines.connections.opening import Result, Warehouse
    from gemel.engines.connections.scratch import Scratch

Described = tuple[tuple[str, str], ...]
"""The names and DuckDB types of columns: `(("revenue", "DECIMAL(38,2)"),)`."""

Describe = Callable[[Compiled], Described]
"""SQL to the names and types of its columns, as the engine sees them. Raises WarehouseError."""


class Runner:
    """A warehouse, queried on behalf of a principal. The first query opens it."""

    def __init__(self, warehouse: "Warehouse", principal: Principal = OWNER) -> None:
        self.principal = principal
        self._warehouse = warehouse
        self._rounding = self._make_rounding(warehouse.describe, lambda sql: warehouse.run(sql).rows())

    @property
    def dialect(self) -> str:
        return self._warehouse.dialect

    @property
    def timezone(self) -> str:
        """The time zone of the warehouse's sessions."""
        return self._warehouse.timezone

    def rows(self, compiled: Compiled, *, limits: Limits = NO_LIMITS) -> "Result":
        """The result: bound now, run when its rows are requested. Raises WarehouseError (G4xx), QueryError (G342)."""
        with hide_values(self.principal):
            sql = self._checked(compiled, limits)
            result = self._warehouse.run(sql, numbers=dict(compiled.metrics), limits=limits)
        return result if self.principal == OWNER else DiscreetResult(result, self.principal)

    def batches(self, compiled: Compiled) -> Iterator[list[tuple[Any, ...]]]:
        """The rows in batches, of a result that need not fit into memory."""
        with hide_values(self.principal):
            yield from self._warehouse.batches(self._checked(compiled))

    def describe(self, compiled: Compiled) -> Described:
        """The columns of the result, with the types that `rows` gives them. The SQL is bound, and not run."""
        with hide_values(self.principal):
            described = self._warehouse.describe(_checked(compiled, self.dialect))
        casts = cast_types(described, dict(compiled.metrics))
        return tuple((name, casts.get(name, kind)) for name, kind in described)

    def check_connection(self) -> None:
        """Raises WarehouseError if the warehouse cannot be queried at all."""
        with hide_values(self.principal):
            self._warehouse.describe("SELECT 1")

    def catalogs(self) -> frozenset[str]:
        """The database names that SQL can use here."""
        return self._warehouse.catalogs()

    def table(self, relation: Relation) -> exp.Table:
        """The name of a relation in SQL here."""
        return dialects.named(self.catalogs(), home=engine_for_dialect(self.dialect))(relation)

    def is_utc(self, target: "Target | None") -> bool:
        """Whether dbt's sessions here are certain to be in UTC."""
        from gemel.engines.connections.opening import is_utc

        return is_utc(self._warehouse, target)

    def scratch(self, temp: Path) -> "ScratchRunner":
        """A DuckDB that can derive tables from the warehouse's; what does not fit into memory goes to `temp`.

        It reads files and runs SELECTs that people name. Raises QueryError (G344) for anybody but the owner.
        """
        self._check_owner()
        return self._scratch_runner(self._warehouse.scratch(temp))

    @contextmanager
    def scratches(self) -> "Iterator[OpenScratch]":
        """Opens scratches, one after another. A table that must be copied for them is copied once for all of them.

        Raises QueryError (G344) for anybody but the owner.
        """
        self._check_owner()
        with self._warehouse.scratches() as open_one:
            yield lambda temp: self._scratch_runner(open_one(temp))

    def close(self) -> None:
        """Close the database; the next query opens it again."""
        self._warehouse.close()
        if self._rounding is not None:
            self._rounding.forget()

    def _check_owner(self) -> None:
        if self.principal != OWNER:
            raise QueryError(
                "G344",
                f"{self.principal.name!r} can only query metrics",
                hint="the owner of the project's files makes training sets and runs `gemel verify`",
            )

    def _scratch_runner(self, scratch: "Scratch") -> "ScratchRunner":
        return ScratchRunner(scratch, rounding=self._make_rounding(scratch.describe, scratch.rows))

    def _make_rounding(
        self, describe: "Callable[[str], Described]", rows: "Callable[[str], Sequence[tuple[Any, ...]]]"
    ) -> Rounding | None:
        if not engine_for_dialect(self.dialect).has(Capability.ROUNDS):
            return None
        return Rounding(describe, rows, self.table)

    def _checked(self, compiled: Compiled, limits: Limits = NO_LIMITS) -> str:
        sql = _checked(compiled, self.dialect, self._rounding)
        timed = replace(limits, rows=None)
        check_histories(
            compiled.histories,
            self.dialect,
            lambda sql: self._warehouse.run(sql, limits=timed).rows(),
            principal=self.principal,
        )
        return sql

    def roundings(self, compiled: Compiled) -> Iterator[WarehouseError]:
        """The reasons why `rows` would refuse SQL that another program will run."""
        return self._rounding.refusals(compiled) if self._rounding else iter(())


class ScratchRunner:
    """A temporary DuckDB that builds tables: from a warehouse's tables, from files, or from nothing."""

    dialect = DIALECT

    def __init__(self, scratch: "Scratch", *, rounding: Rounding | None = None) -> None:
        self._scratch = scratch
        self._rounding = rounding
        self._checked_histories: set[JoinedHistory] = set()

    def rows(self, compiled: Compiled) -> list[tuple[Any, ...]]:
        """Plain Python values, a tuple a row. Raises WarehouseError."""
        return self._scratch.rows(self._checked(compiled))

    def stream(self, compiled: Compiled, *, size: int) -> "tuple[pyarrow.Schema, Iterator[pyarrow.RecordBatch]]":
        """The schema, and the rows in batches of `size`. Only one result can be open at a time."""
        return self._scratch.stream(self._checked(compiled), size=size)

    def arrow(self, compiled: Compiled) -> "pyarrow.Table":
        """A pyarrow Table."""
        return self._scratch.arrow(self._checked(compiled))

    def describe(self, compiled: Compiled) -> Described:
        """The columns of the result. The SQL is bound, and not run."""
        return self._scratch.describe(_checked(compiled, self.dialect))

    def into(self, table: str, compiled: Compiled) -> int:
        """Store the rows as `temp.main.<table>`; return their number."""
        return self._scratch.make(table, self._checked(compiled))

    def take(self, table: str, rows: "pyarrow.RecordBatchReader") -> int:
        """Store Arrow rows as `temp.main.<table>`; return their number."""
        return self._scratch.take(table, rows)

    def declare(self, schema: str, table: str, columns: Mapping[str, str]) -> None:
        """Create an empty table with columns of these types."""
        self._scratch.declare(schema, table, columns)

    def register(self, table: str, rows: "pyarrow.Table") -> None:
        """Register an Arrow table under a name, without copying it."""
        self._scratch.register(table, rows)

    def drop(self, table: str) -> None:
        """Drop a table that `into` or `take` stored."""
        self._scratch.drop(table)

    def threads(self) -> int:
        """The number of threads of a query."""
        return self._scratch.threads()

    def is_select(self, text: str) -> bool:
        """Whether the text is one SELECT and nothing else. Raises WarehouseError if it is not SQL."""
        return self._scratch.is_select(text)

    def close(self) -> None:
        self._scratch.close()

    def _checked(self, compiled: Compiled) -> str:
        sql = _checked(compiled, self.dialect, self._rounding)
        unchecked = [each for each in compiled.histories if each not in self._checked_histories]
        check_histories(unchecked, self.dialect, self._scratch.rows)
        self._checked_histories.update(unchecked)
        return sql

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


OpenScratch = Callable[[Path], ScratchRunner]
"""Opens a scratch whose temporary files go into a folder."""


def open_empty(*, temp: Path | None = None, memory: str | None = None) -> ScratchRunner:
    """An empty DuckDB, for rows from files and Arrow. `memory` is a size, such as `600MB`."""
    from gemel.engines.connections.scratch import open_empty as open_

    return ScratchRunner(open_(temp, memory))


def _checked(compiled: Compiled, dialect: str, rounding: Rounding | None = None) -> str:
    if compiled.dialect != dialect:
        raise QueryError(
            "G342",
            f"this SQL is for {compiled.dialect}, and the rows are in {dialect}",
            hint="use the answer's .sql, or omit the dialect",
        )
    if rounding is not None:
        rounding.check(compiled)
    return compiled.sql
