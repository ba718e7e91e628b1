"""A DuckDB file, opened for reading only.

The file is attached to an in-memory connection under the name that the project's SQL uses for it. A copy of
gemel.duckdb named backup.duckdb can thus be queried too, although its views refer to `gemel.main.flights`.

These keep a query from doing harm: every file is attached READ_ONLY, names in SQL never resolve to Python variables, no
extension is downloaded, no other file can be read or written than those that the views of the project read, and the
configuration is locked. The compiler guarantees that no user's text reaches a FROM clause.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

from gemel.dbt.profile import Target
from gemel.engines.connections.duckdb_errors import UnlistedFileError, installed, translate_errors
from gemel.engines.connections.duckdb_opening import (
    confine,
    literal,
    open_files,
    opens_files,
    quoted,
    read_view_files,
    start_paths,
    zone_of,
)
from gemel.engines.connections.exceeded import check_number
from gemel.engines.connections.files import Profile
from gemel.engines.connections.interrupting import run as run_interruptible
from gemel.engines.connections.scratch import Scratch
from gemel.engines.connections.turns import Turns
from gemel.engines.connections.view_files import Files
from gemel.engines.whole_numbers import cast_types, naming
from gemel.errors import WarehouseError
from gemel.spec.limits import NO_LIMITS, Limits
from gemel.spec.zones import UTC, find_zone
from gemel.temporary import TemporaryFolder

if TYPE_CHECKING:
    import duckdb
    import pyarrow

T = TypeVar("T")


class Warehouse:
    """The databases of one profile, or of an open connection. Nothing is opened before the first query.

    Any number of threads can ask: each query has a cursor of its own. The files that views read are looked up when a
    query first needs one.

    A connection that the caller opened is queried through cursors, in its own schema, and never closed. A cursor does
    not see the temporary tables and registered data frames of the connection.
    """

    dialect = "duckdb"

    def __init__(
        self,
        profile: Profile,
        connection: "duckdb.DuckDBPyConnection | None" = None,
        *,
        limits: Limits = NO_LIMITS,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.profile = profile
        self.timezone = zone_of(profile.settings) or UTC
        self._connection = connection
        self._lent = connection is not None
        self._opening = Lock()
        self._files: Files | None = None
        self._left: list[Thread] = []
        self._spills: list[TemporaryFolder] = []
        self.prepare(limits, say=say)

    def prepare(self, limits: Limits, *, say: Callable[[str], None], folders: Sequence[Path] = ()) -> None:
        """What queries may need, who learns that one waits for a file, and the folders of whose files SQL may read.
        Before the first query."""
        self._limits = limits
        self._folders = frozenset(f"{folder.resolve()}/" for folder in folders)
        self._say = say
        self._turns = Turns(limits.at_once, limits.wait)

    def run(self, sql: str, *, numbers: Mapping[str, str] | None = None, limits: Limits = NO_LIMITS) -> "Result":
        """The result of `sql`, which is bound now and run when its rows are requested. `numbers` are the columns of
        metrics, each with the type that its whole numbers get.

        Raises WarehouseError: G401-G403 for the file, G405-G407 for the SQL, G410 for the limits.
        """

        def bind(cursor: "duckdb.DuckDBPyConnection") -> tuple[tuple[str, ...], tuple[str, ...]]:
            relation = cursor.sql(sql)
            return tuple(relation.columns), tuple(str(kind) for kind in relation.types)

        columns, types = self._bind(bind)
        casts = cast_types(zip(columns, types, strict=True), numbers or {})
        return Result(self, sql, columns, types=types, casts=casts, limits=limits)

    def batches(self, sql: str, *, size: int = 10_000) -> Iterator[list[tuple[Any, ...]]]:
        """The rows in batches, of a result that need not fit into memory."""
        self.describe(sql)
        with self._cursor() as cursor:
            cursor.execute(sql)
            while rows := cursor.fetchmany(size):
                yield rows

    def describe(self, sql: str) -> tuple[tuple[str, str], ...]:
        """The columns of `sql`, which is bound and not run: `(("revenue", "DECIMAL(38,2)"),)`."""
        described = self._bind(lambda cursor: cursor.execute(f"DESCRIBE {sql}").fetchall())
        return tuple((str(name), str(kind)) for name, kind, *_ in described)

    def catalogs(self) -> frozenset[str]:
        """The database names that SQL can use here. A profile's names are read without opening anything."""
        if not self._lent:
            return self.profile.catalogs
        with self._cursor() as cursor:
            named = cursor.execute("SELECT database_name FROM duckdb_databases() WHERE NOT internal").fetchall()
        return frozenset(str(name) for (name,) in named)

    def zone(self, target: Target | None) -> str:
        """The time zone that the profile sets, or "": dbt's sessions are then in the machine's zone."""
        settings = target.render().get("settings") if target else None
        return zone_of(settings) if isinstance(settings, dict) else ""

    def fetch(
        self, sql: str, take: "Callable[[duckdb.DuckDBPyRelation], T]", *, casts: Mapping[str, str], limits: Limits
    ) -> T:
        """Run `sql`, and take its rows from DuckDB's relation: no more than one above the limit. `casts` are columns
        with the types that they get. Raises WarehouseError (G407) if a value does not fit."""
        with naming(casts), self._cursor() as cursor:

            def work() -> T:
                relation = cursor.sql(sql)
                if casts:
                    relation = relation.project(", ".join(_output(name, casts.get(name)) for name in relation.columns))
                return take(relation if limits.rows is None else relation.limit(limits.rows + 1))

            return run_interruptible(cursor, work, seconds=limits.time, left=self._left)

    def close(self) -> None:
        """Close the file, after the queries of other threads have ended. The next query opens it again."""
        with self._turns.close():
            self._files = None
            if self._connection is not None and not self._lent:
                # A query that could not be stopped keeps the file open until it ends.
                if not any(thread.is_alive() for thread in self._left):
                    self._connection.close()
                self._connection = None
                while self._spills:
                    self._spills.pop().close()

    def scratch(self, temp: Path) -> "Scratch":
        """A connection in which tables can be made; what does not fit into memory goes into the folder `temp`."""
        with translate_errors(self.profile):
            if self._lent:
                return Scratch(self._new_cursor())
            spill = {"temp_directory": str(temp)}
            connection = open_files(self.profile, spill, timezone=self.timezone, limits=self._limits, say=self._say)
            if self.profile.folder:
                start_paths(connection, read_view_files(connection, self.profile))
            connection.execute("SET GLOBAL lock_configuration = true")
            if self.profile.path != ":memory:":
                connection.execute(f"USE {quoted(self.profile.database)}")
            return Scratch(connection)

    def scratches(self) -> AbstractContextManager[Callable[[Path], "Scratch"]]:
        """Opens independent scratches: nothing has to be copied for them."""
        return nullcontext(self.scratch)

    def __enter__(self) -> "Warehouse":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _bind(self, work: "Callable[[duckdb.DuckDBPyConnection], T]") -> T:
        """Do what binds SQL. If a view reads a file, those of all views are allowed, and it is done once more."""
        try:
            with self._cursor() as cursor:
                return work(cursor)
        except UnlistedFileError:
            if self._lent:
                raise
            with self._cursor() as cursor, self._opening:
                if self._files is None:
                    self._files = read_view_files(cursor, self.profile)
                    self._connection = self._open(self._files)  # running queries keep the other one
            with self._cursor() as cursor:
                return work(cursor)

    @contextmanager
    def _cursor(self) -> "Iterator[duckdb.DuckDBPyConnection]":
        """A cursor for one query, when it is its turn."""
        with translate_errors(self.profile, self._limits), self._turns.take():
            cursor = self._new_cursor()
            try:
                yield cursor
            finally:
                if not any(thread.is_alive() for thread in self._left):
                    cursor.close()

    def _new_cursor(self) -> "duckdb.DuckDBPyConnection":
        with self._opening:
            if self._connection is None:
                self._connection = self._open(self._files or Files())
            cursor = self._connection.cursor()
            if self._lent:
                self._set_timezone(cursor)
                place = self._connection.execute("SELECT current_database(), current_schema()").fetchall()[0]
                cursor.execute(f"USE {'.'.join(map(quoted, place))}")
            elif self.profile.path != ":memory:":
                cursor.execute(f"USE {quoted(self.profile.database)}")
            return cursor

    def _open(self, files: Files) -> "duckdb.DuckDBPyConnection":
        self._spills.append(TemporaryFolder())
        temp = {"temp_directory": str(self._spills[-1].path)}
        connection = open_files(self.profile, temp, timezone=self.timezone, limits=self._limits, say=self._say)
        if opens_files(self.profile) and self.profile.folder:
            files = read_view_files(connection, self.profile)
        confine(connection, self.profile, replace(files, folders=files.folders | self._folders))
        return connection

    def _set_timezone(self, cursor: "duckdb.DuckDBPyConnection") -> None:
        """A cursor is in the machine's zone, whatever zone its connection is in."""
        import duckdb

        try:
            cursor.execute(f"SET SESSION TimeZone = {literal(self.timezone)}")
        except duckdb.InvalidInputException:
            [(zone,)] = cursor.execute("SELECT current_setting('TimeZone')").fetchall()
            if find_zone(zone) != find_zone(self.timezone):
                raise WarehouseError(
                    "G404",
                    f"the configuration of the open connection is locked in time zone {zone}, and this project's is "
                    f"{self.timezone}",
                    hint=f"SET GLOBAL TimeZone = '{self.timezone}' before the configuration is locked",
                ) from None


class Result:
    """The result of one SQL text. It is run when rows are first requested, and again for each further form."""

    def __init__(
        self,
        warehouse: Warehouse,
        sql: str,
        columns: tuple[str, ...],
        *,
        types: tuple[str, ...],
        casts: Mapping[str, str],
        limits: Limits,
    ) -> None:
        self._warehouse = warehouse
        self._sql = sql
        self._casts = casts
        self._limits = limits
        self.columns = columns
        self.types = tuple(casts.get(name, kind) for name, kind in zip(columns, types, strict=True))
        self._rows: list[tuple[Any, ...]] | None = None

    def rows(self) -> list[tuple[Any, ...]]:
        """Plain Python values, a tuple a row."""
        if self._rows is None:
            self._rows = self._fetch(lambda relation: relation.fetchall())
        return self._rows

    def arrow(self) -> "pyarrow.Table":
        """A pyarrow Table."""
        return self._fetch(lambda relation: relation.to_arrow_table())

    def df(self) -> Any:
        """A pandas DataFrame. Raises WarehouseError (G408) where pandas is not installed."""
        installed("pandas")
        return self._fetch(lambda relation: relation.df())

    def pl(self) -> Any:
        """A polars DataFrame. Raises WarehouseError (G408) where polars is not installed."""
        return installed("polars").from_arrow(self.arrow())

    def _fetch(self, take: "Callable[[duckdb.DuckDBPyRelation], T]") -> T:
        taken = self._warehouse.fetch(self._sql, take, casts=self._casts, limits=self._limits)
        check_number(self._limits.rows, len(taken))  # type: ignore[arg-type]
        return taken


def _output(name: str, kind: str | None) -> str:
    return quoted(name) if kind is None else f"CAST({quoted(name)} AS {kind}) AS {quoted(name)}"
