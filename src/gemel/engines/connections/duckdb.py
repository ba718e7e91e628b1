"""A DuckDB file, opened for reading only. DuckDB's errors become ours here and nowhere else.

The file is attached to an in-memory connection under the name that the project's SQL uses for it. A copy of
gemel.duckdb named backup.duckdb can thus be queried too, although its views refer to `gemel.main.flights`.

These keep a query from doing harm: every file is attached READ_ONLY, names in SQL never resolve to Python
variables, no extension is downloaded, and the configuration is locked. Access to other files stays open:
many projects start with staging views over Parquet files and S3, and nothing lists those files. The compiler
guarantees that no user's text reaches a FROM clause.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Self, TypeVar

from gemel.dbt.profile import Target
from gemel.engines.connections.files import Profile
from gemel.errors import WarehouseError
from gemel.spec.zones import UTC, find_zone

if TYPE_CHECKING:
    import duckdb
    import pyarrow

T = TypeVar("T")

TYPE_MISMATCH = "a column, or a value in a filter, has another type than the value it is compared or combined with"


class Warehouse:
    """The databases of one profile, or of an open connection. Nothing is opened before the first query.

    A connection that the caller opened is queried through cursors, in its own schema, and never closed. A cursor does
    not see the temporary tables and registered data frames of the connection.
    """

    dialect = "duckdb"

    def __init__(self, profile: Profile, connection: "duckdb.DuckDBPyConnection | None" = None) -> None:
        self.profile = profile
        self._connection = connection
        self._lent = connection is not None
        self.timezone = _zone_of(profile.settings) or UTC

    def run(self, sql: str) -> "Result":
        """The result of `sql`, which is bound now and run when its rows are requested.

        Raises WarehouseError: G401-G403 for the file, G405-G407 for the SQL.
        """
        with translate_errors(self.profile):
            return Result(self._cursor(), sql)

    def batches(self, sql: str, *, size: int = 10_000) -> Iterator[list[tuple[Any, ...]]]:
        """The rows in batches, of a result that need not fit into memory."""
        with translate_errors(self.profile):
            cursor = self._cursor().execute(sql)
            while rows := cursor.fetchmany(size):
                yield rows

    def describe(self, sql: str) -> tuple[tuple[str, str], ...]:
        """The columns of `sql`, which is bound and not run: `(("revenue", "DECIMAL(38,2)"),)`."""
        with translate_errors(self.profile):
            described = self._cursor().execute(f"DESCRIBE {sql}").fetchall()
        return tuple((str(name), str(kind)) for name, kind, *_ in described)

    def catalogs(self) -> frozenset[str]:
        """The database names that SQL can use here. A profile's names are read without opening anything."""
        if not self._lent:
            return self.profile.catalogs
        with translate_errors():
            named = self._cursor().execute("SELECT database_name FROM duckdb_databases() WHERE NOT internal").fetchall()
        return frozenset(str(name) for (name,) in named)

    def zone(self, target: Target | None) -> str:
        """The time zone that the profile sets, or "": dbt's sessions are then in the machine's zone."""
        settings = target.render().get("settings") if target else None
        return _zone_of(settings) if isinstance(settings, dict) else ""

    def close(self) -> None:
        if self._connection is not None and not self._lent:
            self._connection.close()
            self._connection = None

    def scratch(self, temp: Path) -> "Scratch":
        """A connection in which tables can be made; what does not fit into memory goes into the folder `temp`.

        This closes the warehouse, as a file can be open in one mode only; the next query opens it again.
        """
        with translate_errors(self.profile):
            if self._lent:
                return Scratch(self._cursor())
            self.close()
            connection = _connect(self.profile, {"temp_directory": str(temp)})
            if self.profile.path != ":memory:":
                connection.execute(f"USE {_quoted(self.profile.database)}")
            return Scratch(connection)

    def scratches(self) -> AbstractContextManager[Callable[[Path], "Scratch"]]:
        """Opens independent scratches: nothing has to be copied for them."""
        return nullcontext(self.scratch)

    def __enter__(self) -> "Warehouse":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _cursor(self) -> "duckdb.DuckDBPyConnection":
        if self._connection is None:
            self._connection = _connect(self.profile, timezone=self.timezone)
        cursor = self._connection.cursor()
        if self._lent:
            self._set_timezone(cursor)
            database, schema = self._connection.execute("SELECT current_database(), current_schema()").fetchall()[0]
            cursor.execute(f"USE {_quoted(database)}.{_quoted(schema)}")
        elif self.profile.path != ":memory:":
            cursor.execute(f"USE {_quoted(self.profile.database)}")
        return cursor

    def _set_timezone(self, cursor: "duckdb.DuckDBPyConnection") -> None:
        """A cursor is in the machine's zone, whatever zone its connection is in."""
        import duckdb

        try:
            cursor.execute(f"SET SESSION TimeZone = {_literal(self.timezone)}")
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

    def __init__(self, cursor: "duckdb.DuckDBPyConnection", sql: str) -> None:
        self._cursor = cursor
        self._relation = cursor.sql(sql)
        self.columns: tuple[str, ...] = tuple(self._relation.columns)
        self.types: tuple[str, ...] = tuple(str(kind) for kind in self._relation.types)
        self._rows: list[tuple[Any, ...]] | None = None

    def rows(self) -> list[tuple[Any, ...]]:
        """Plain Python values, a tuple a row."""
        if self._rows is None:
            self._rows = _interruptible(self._cursor, self._relation.fetchall)
        return self._rows

    def arrow(self) -> "pyarrow.Table":
        """A pyarrow Table."""
        return _interruptible(self._cursor, self._relation.to_arrow_table)

    def df(self) -> Any:
        """A pandas DataFrame. Raises WarehouseError (G408) where pandas is not installed."""
        installed("pandas")
        return _interruptible(self._cursor, self._relation.df)

    def pl(self) -> Any:
        """A polars DataFrame. Raises WarehouseError (G408) where polars is not installed."""
        return installed("polars").from_arrow(self.arrow())


def open_empty(temp: Path | None, memory: str | None) -> "Scratch":
    """An empty DuckDB. What does not fit into `memory` goes into the folder `temp`."""
    import duckdb

    settings = {"temp_directory": str(temp) if temp else None, "memory_limit": memory}
    config: dict[str, Any] = {**_SAFE, **{name: value for name, value in settings.items() if value is not None}}
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
        statement = f"CREATE TEMP TABLE {_quoted(table)} AS {sql}"
        return int(_interruptible(self._connection, lambda: self._connection.execute(statement).fetchall())[0][0])

    def drop(self, table: str) -> None:
        """Drop a table that `make` or `take` stored."""
        with translate_errors():
            self._connection.execute(f"DROP TABLE temp.main.{_quoted(table)}")

    def threads(self) -> int:
        """The number of threads of a query."""
        return int(self.rows("SELECT current_setting('threads')")[0][0])

    def take(self, table: str, rows: "pyarrow.RecordBatchReader") -> int:
        """Store Arrow rows as `temp.main.<table>`; return their number."""
        self._connection.register(f"{table}_rows", rows)
        count = self.make(table, f"SELECT * FROM {_quoted(f'{table}_rows')}")
        self._connection.unregister(f"{table}_rows")
        return count

    def declare(self, schema: str, table: str, columns: Mapping[str, str]) -> None:
        """Create an empty table with columns of these types."""
        typed = ", ".join(f"{_quoted(name)} {kind}" for name, kind in columns.items())
        with translate_errors():
            self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted(schema)}")
            self._connection.execute(f"CREATE TABLE {_quoted(schema)}.{_quoted(table)} ({typed})")

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


def installed(package: str, hint: str | None = None) -> Any:
    """Import an optional package. Raises WarehouseError (G408) if it is not installed."""
    try:
        return import_module(package)
    except ImportError:
        hint = hint or f"pip install {package}, or use .arrow() or .rows()"
        raise WarehouseError("G408", f"{package} is not installed", hint=hint) from None


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
    """Do the work in a thread: Ctrl-C then reaches this thread, which interrupts the engine."""
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    with translate_errors():
        try:
            answer = outcome.result()
        except KeyboardInterrupt:
            connection.interrupt()
            wait([outcome], timeout=5)
            raise
    thread.join()  # until then it holds the connection, and with it the file
    return answer


_SAFE: dict[str, Any] = {"python_enable_replacements": False, "autoinstall_known_extensions": False}


def _zone_of(settings: Mapping[str, Any]) -> str:
    """The time zone among a profile's settings, or ""."""
    return next((str(value) for name, value in settings.items() if str(name).lower() == "timezone"), "")


def _connect(
    profile: Profile, settings: Mapping[str, str] | None = None, *, timezone: str = ""
) -> "duckdb.DuckDBPyConnection":
    """`timezone` replaces that of the profile."""
    import duckdb

    _check_file(profile.path, profile)
    for attachment in profile.attach:
        _check_file(attachment.path, profile)
    connection = duckdb.connect(":memory:", config={**_SAFE, **(settings or {})})
    for extension in profile.extensions:
        connection.load_extension(extension)
    # Times with a zone are shown and truncated in UTC, wherever this runs, unless project or profile name another zone.
    others = {name: value for name, value in profile.settings.items() if name.lower() != "timezone"}
    for name, value in {"TimeZone": timezone or _zone_of(profile.settings) or UTC, **others}.items():
        connection.execute(f"SET GLOBAL {_quoted(name)} = {_literal(value)}")
    for path, name in [(profile.path, profile.database), *((each.path, each.name) for each in profile.attach)]:
        if path != ":memory:":
            connection.execute(f"ATTACH {_literal(path)} AS {_quoted(name)} (READ_ONLY)")
    connection.execute("SET lock_configuration = true")
    return connection


def _check_file(path: str, profile: Profile) -> None:
    if path == ":memory:":
        if not profile.attach:
            raise WarehouseError(
                "G401",
                f"target {profile.target!r} keeps its tables in memory: they disappear when dbt ends",
                hint="give the target a `path` in profiles.yml",
            )
    elif "://" not in path and not Path(path).is_file():
        what = "is a directory" if Path(path).is_dir() else "does not exist"
        raise WarehouseError(
            "G401", f"the DuckDB file {path} {what}", hint="create it with `dbt build`, or name another with --database"
        )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@contextmanager
def translate_errors(profile: Profile | None = None) -> Iterator[None]:
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise _error(error, profile) from None


def _error(error: "duckdb.Error", profile: Profile | None) -> WarehouseError:
    import duckdb

    message = str(error)
    first = re.sub(r"^[A-Z][\w ]* Error: ", "", message.splitlines()[0] if message else type(error).__name__)
    near = re.search(r'(?:Did you mean|Candidate bindings:)[ :]*"([^"\n]+)"', message)
    hint = f"did you mean {near[1]}?" if near else None
    if "lock on file" in message or "Unique file handle conflict" in message or "different configuration" in message:
        holder = re.search(r"PID (\d+)", message)
        who = f"process {holder[1]}" if holder else "another connection"
        return WarehouseError(
            "G403",
            f"{who} is writing to the database: {profile.path if profile else first}",
            hint="wait for it to end (is it a dbt build?), or close it",
        )
    if "not a valid DuckDB database" in message or "newer version" in message or "Serialization" in message:
        hint = "was the file written by another version of DuckDB, or is it not a DuckDB file?"
        return WarehouseError("G402", first, hint=hint)
    match error:
        case duckdb.CatalogException():
            return WarehouseError(
                "G405", first, hint=hint or "`dbt build` creates the tables; was it run since the models changed?"
            )
        case duckdb.BinderException() | duckdb.ParserException():
            return WarehouseError(
                "G406",
                first,
                hint=hint or "check the filters and the definitions (--explain prints the SQL), and run `dbt build`",
            )
        case duckdb.ConversionException():
            return WarehouseError("G407", first, hint=TYPE_MISMATCH)
        case duckdb.OutOfMemoryException():
            hint = (
                "what does not fit into memory goes to the folder for temporary files (TMPDIR), which needs space; "
                "`settings: {memory_limit: ...}` in profiles.yml sets the limit; fewer `threads` need less memory"
            )
            return WarehouseError("G407", f"out of memory: {first}", hint=hint)
        case duckdb.IOException():
            return WarehouseError("G401", first, hint="check the files that the database and its views read")
        case _:
            return WarehouseError("G407", first)
