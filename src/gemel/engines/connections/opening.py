"""The interface of every warehouse, and the warehouse that a target of dbt's profile names."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gemel.dbt.profile import Target
from gemel.engines.lookup import all_engines, engine_for_adapter
from gemel.errors import GemelError, Place, WarehouseError
from gemel.spec.limits import Limits
from gemel.spec.zones import find_zone

if TYPE_CHECKING:
    import pyarrow

    from gemel.engines.connections.scratch import Scratch


class Result(Protocol):
    """The result of one SQL text, which is run when its rows are first requested."""

    columns: tuple[str, ...]
    types: tuple[str, ...]

    def rows(self) -> list[tuple[Any, ...]]:
        """Plain Python values, a tuple a row."""
        ...

    def arrow(self) -> "pyarrow.Table":
        """A pyarrow Table."""
        ...

    def df(self) -> Any:
        """A pandas DataFrame. Raises WarehouseError (G408) where pandas is not installed."""
        ...

    def pl(self) -> Any:
        """A polars DataFrame. Raises WarehouseError (G408) where polars is not installed."""
        ...


class Warehouse(Protocol):
    """The tables of a project. Nothing is opened before the first query; nothing is ever written.

    `timezone` is that of gemel's own sessions, and can be set until the first of them is open.
    """

    dialect: str
    timezone: str

    def prepare(self, limits: Limits, *, say: Callable[[str], None], folders: Sequence[Path] = ()) -> None:
        """What queries may need, who learns that one waits, and the folders of whose files SQL may read. Before the
        first query."""
        ...

    def run(self, sql: str, *, numbers: Mapping[str, str] | None = None, limits: Limits = ...) -> Result:
        """The result of `sql`, which is bound now and run when its rows are requested. `numbers` are the columns of
        metrics, each with the type that its whole numbers get. Raises WarehouseError (G4xx)."""
        ...

    def describe(self, sql: str) -> tuple[tuple[str, str], ...]:
        """The names and DuckDB types of the columns of `sql`, which is bound and not run. A HUGEINT is a sum of whole
        numbers, also where the engine has no such type."""
        ...

    def catalogs(self) -> frozenset[str]:
        """The database names that SQL can use here."""
        ...

    def batches(self, sql: str, *, size: int = ...) -> Iterator[list[tuple[Any, ...]]]:
        """The rows in batches, of a result that need not fit into memory."""
        ...

    def scratch(self, temp: Path) -> "Scratch":
        """A DuckDB that can derive tables from these; what does not fit into memory goes into the folder `temp`."""
        ...

    def scratches(self) -> AbstractContextManager[Callable[[Path], "Scratch"]]:
        """Opens scratches, one after another. A table that must be copied for them is copied once for all of them."""
        ...

    def zone(self, target: Target | None) -> str:
        """The time zone in which dbt's sessions begin; "" if it is unknown."""
        ...

    def close(self) -> None: ...


def open_target(target: Target, project_dir: Path) -> Warehouse:
    """The warehouse of a target. Raises ProjectError (G604), and WarehouseError (G404) if gemel cannot query it."""
    engine = engine_for_adapter(target.kind)
    if engine.connect is None:
        target.render()  # problems of the profile are reported first
        raise _unsupported(target, [each.name for each in all_engines() if each.connect])
    return engine.connect(target, project_dir)


def _unsupported(target: Target, names: Sequence[str]) -> WarehouseError:
    return WarehouseError(
        "G404",
        f"target {target.name!r} of profile {target.profile!r} is of type {target.kind!r}: gemel can query only "
        f"{' and '.join(names)} for now",
        place=Place(str(target.file)),
        hint="`gemel query --compile` and `gemel generate` still write the SQL for it",
    )


def is_utc(warehouse: Warehouse, target: Target | None) -> bool:
    """Whether dbt's sessions are certain to be in UTC, and gemel's too."""
    try:
        return find_zone(warehouse.timezone) == find_zone(warehouse.zone(target)) == dt.UTC
    except GemelError:
        return False
