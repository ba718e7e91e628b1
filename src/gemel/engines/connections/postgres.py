"""A PostgreSQL server, queried in read-only sessions. psycopg's errors become ours here and nowhere else.

Times with a zone are shown in UTC, or in the project's own zone, whatever the server's zone is.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from gemel.data_frames import data_frame
from gemel.dbt.profile import Target
from gemel.engines.connections.arrow import arrow_array
from gemel.engines.connections.duckdb import TYPE_MISMATCH, installed
from gemel.errors import Place, WarehouseError
from gemel.spec.zones import UTC

if TYPE_CHECKING:
    import psycopg
    import pyarrow

    from gemel.engines.connections.borrowing import Borrower
    from gemel.engines.connections.duckdb import Scratch

T = TypeVar("T")

BATCH = 10_000  # rows


@dataclass(frozen=True, slots=True)
class Server:
    """One database of one server, and how to reach it. `options` are libpq's."""

    database: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    role: str | None = None
    search_path: str | None = None

    def __str__(self) -> str:
        return f"{self.options.get('host', 'the server')}:{self.options.get('port', 5432)}/{self.database}"


def read_server(target: Target) -> Server:
    """The server that a target of dbt-postgres names. Raises ProjectError (G604), WarehouseError (G404)."""
    settings = target.render()
    database = settings.get("dbname") or settings.get("database")
    if not database:
        raise WarehouseError(
            "G404",
            f"target {target.name!r} of profile {target.profile!r} names no database",
            place=Place(str(target.file)),
            hint="give it a `dbname`",
        )
    names = ("host", "port", "user", "sslmode", "sslcert", "sslkey", "sslrootcert", "connect_timeout")
    options = {name: settings[name] for name in names if settings.get(name) not in (None, "")}
    password = settings.get("password") or settings.get("pass")
    if password:
        options["password"] = str(password)
    return Server(str(database), {"connect_timeout": 10, **options}, settings.get("role"), settings.get("search_path"))


class Warehouse:
    """The tables of one database. Nothing is opened before the first query."""

    dialect = "postgres"

    def __init__(self, server: Server) -> None:
        self.server = server
        self.timezone = UTC
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def run(self, sql: str) -> "Result":
        """The result of `sql`, which is bound now and run when its rows are requested.

        Raises WarehouseError: G401 for the server, G405-G407 for the SQL.
        """
        return Result(self, sql, self._described(sql))

    def describe(self, sql: str) -> tuple[tuple[str, str], ...]:
        """The names and DuckDB types of the columns of `sql`: `(("revenue", "DECIMAL(38,2)"),)`."""
        return tuple((name, kind) for name, kind in self._described(sql))

    def catalogs(self) -> frozenset[str]:
        """The one database that SQL can name here."""
        return frozenset({self.server.database})

    def zone(self, target: Target | None = None) -> str:
        """The time zone in which the server begins this user's sessions, including dbt's."""
        return str(self.rows("SELECT reset_val FROM pg_settings WHERE name = 'TimeZone'")[0][0])

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> "Warehouse":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with translate_errors(self.server):
            return self._open().execute(sql).fetchall()

    def batches(self, sql: str, *, size: int = BATCH) -> Iterator[list[tuple[Any, ...]]]:
        """The rows in batches, of a result that need not fit into memory."""
        with translate_errors(self.server), self._open().transaction(), self._open().cursor("gemel") as cursor:
            cursor.itersize = size
            cursor.execute(sql)
            while rows := cursor.fetchmany(size):
                yield rows

    def scratch(self, temp: Path) -> "Borrower":
        """A DuckDB in the folder `temp`, which copies a table from the server when its SQL first names it."""
        from gemel.engines.connections.borrowing import borrow

        return borrow(self, self.server.database, temp)

    @contextmanager
    def scratches(self) -> "Iterator[Callable[[Path], Scratch]]":
        """Opens scratches that share the tables copied from the server, each as it was when it was copied."""
        with TemporaryDirectory(prefix="gemel-") as folder, self.scratch(Path(folder)) as first:
            yield lambda temp: first.beside()

    def _described(self, sql: str) -> list[tuple[str, str]]:
        """By the server's parser alone: the SQL is neither planned nor run."""
        with translate_errors(self.server):
            import psycopg
            from psycopg import pq

            connection = self._open()
            link = connection.pgconn
            described = link.prepare(b"", sql.encode())
            if described.status == pq.ExecStatus.COMMAND_OK:
                described = link.describe_prepared(b"")
            if described.status != pq.ExecStatus.COMMAND_OK:
                raise psycopg.errors.error_from_result(described)
            return [
                ((described.fname(n) or b"").decode(), self._type(described.ftype(n), described.fmod(n)))
                for n in range(described.nfields)
            ]

    def _type(self, oid: int, modifier: int) -> str:
        info = self._open().adapters.types.get(oid)
        if info is None:
            kinds = self.rows(f"SELECT typtype FROM pg_type WHERE oid = {oid}")
            return "VARCHAR" if kinds == [("e",)] else "UNKNOWN"
        name = _TYPES.get(info.name, info.name.upper())
        if info.name == "numeric" and modifier > 4:
            name = f"DECIMAL({(modifier - 4) >> 16},{(modifier - 4) & 0xFFFF})"
        return f"{name}[]" if oid == info.array_oid else name

    def _open(self) -> "psycopg.Connection[tuple[Any, ...]]":
        if self._connection is None or self._connection.closed:
            self._connection = _connect(self.server, self.timezone)
        return self._connection


_TYPES = {
    "bool": "BOOLEAN",
    "int2": "SMALLINT",
    "int4": "INTEGER",
    "int8": "BIGINT",
    "float4": "FLOAT",
    "float8": "DOUBLE",
    "numeric": "DECIMAL",
    "text": "VARCHAR",
    "varchar": "VARCHAR",
    "bpchar": "VARCHAR",
    "name": "VARCHAR",
    "unknown": "VARCHAR",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMP WITH TIME ZONE",
    "bytea": "BLOB",
}
"""PostgreSQL's type names to DuckDB's, which rules and feature types use. Any other type keeps its name."""


class Result:
    """The result of one SQL text, which is run when its rows are first requested."""

    def __init__(self, warehouse: Warehouse, sql: str, described: Sequence[tuple[str, str]]) -> None:
        self._warehouse = warehouse
        self._sql = sql
        self.columns: tuple[str, ...] = tuple(name for name, _ in described)
        self.types: tuple[str, ...] = tuple(kind for _, kind in described)
        self._rows: list[tuple[Any, ...]] | None = None

    def rows(self) -> list[tuple[Any, ...]]:
        """Plain Python values, a tuple a row."""
        if self._rows is None:
            self._rows = self._warehouse.rows(self._sql)
        return self._rows

    def arrow(self) -> "pyarrow.Table":
        """A pyarrow Table."""
        import pyarrow

        rows = self.rows()
        arrays = [arrow_array([row[place] for row in rows], kind) for place, kind in enumerate(self.types)]
        return pyarrow.Table.from_arrays(arrays, names=list(self.columns))

    def df(self) -> Any:
        """A pandas DataFrame. Raises WarehouseError (G408) where pandas is not installed."""
        installed("pandas")
        return data_frame(self.arrow())

    def pl(self) -> Any:
        """A polars DataFrame. Raises WarehouseError (G408) where polars is not installed."""
        return installed("polars").from_arrow(self.arrow())


def _connect(server: Server, timezone: str) -> "psycopg.Connection[tuple[Any, ...]]":
    installed("psycopg", "install gemel's extra `postgres`: pip install dbt-postgres 'feast[postgres]'")
    import psycopg

    options = {**server.options, "dbname": server.database, "application_name": "gemel"}
    try:
        connection: psycopg.Connection[tuple[Any, ...]] = psycopg.connect(**options, autocommit=True)
    except psycopg.Error as error:
        first = str(error).strip().splitlines()[-1]
        raise WarehouseError(
            "G401",
            f"{server} cannot be reached: {first}",
            hint="is the server up, and is the target in profiles.yml right?",
        ) from None
    settings = {"default_transaction_read_only": "on", "TimeZone": timezone, "DateStyle": "ISO"}
    if server.search_path:
        settings["search_path"] = server.search_path
    with translate_errors(server):
        for name, value in settings.items():
            connection.execute("SELECT set_config(%s, %s, false)", (name, value))
        if server.role:
            connection.execute(psycopg.sql.SQL("SET ROLE {}").format(psycopg.sql.Identifier(server.role)))
    return connection


@contextmanager
def translate_errors(server: Server) -> Iterator[None]:
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise _error(error, server) from None


def _error(error: "psycopg.Error", server: Server) -> WarehouseError:
    message = getattr(error.diag, "message_primary", None) or str(error).strip()
    first = message.splitlines()[0] if message else type(error).__name__
    hint = error.diag.message_hint
    code = error.sqlstate or ""
    match code:
        case "42P01" | "3F000" | "3D000" | "42501":
            return WarehouseError(
                "G405", first, hint="`dbt build` creates the tables; was it run since the models changed?"
            )
        case _ if code.startswith("42"):
            return WarehouseError(
                "G406",
                first,
                hint=hint or "check the filters and the definitions (--explain prints the SQL), and run `dbt build`",
            )
        case _ if code.startswith("22"):
            return WarehouseError("G407", first, hint=TYPE_MISMATCH)
        case "" | "57P01" | "57P02" | "57P03" | "08006" | "08003":
            return WarehouseError("G401", f"{server}: {first}", hint="is the server up?")
        case _:
            return WarehouseError("G407", first, hint=hint)
