"""A PostgreSQL server, queried in read-only transactions. psycopg's errors become ours here and nowhere else.

Each query has a session of its own while it runs, in a transaction that is rolled back. Afterwards the session is as it
was when it began, so that no query can change a later one, and the next query may have it. Times with a zone are shown
in UTC, or in the project's own zone, whatever the server's zone is.

psycopg_pool is not used: it connects in threads of its own, so that a query waits for a server that refuses to let it
in, and never learns why.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from gemel.cancellation import check, is_cancelled, stopping
from gemel.data_frames import data_frame
from gemel.dbt.profile import Target
from gemel.engines.connections.arrow import arrow_array
from gemel.engines.connections.duckdb_errors import TYPE_MISMATCH, installed
from gemel.engines.connections.exceeded import MORE_DISK, exceeded_time, within
from gemel.engines.connections.postgres_types import NUMERIC, type_of, with_greatest
from gemel.engines.connections.turns import Turns
from gemel.engines.whole_numbers import HUGE, WHOLE, cast_types, cast_values, naming
from gemel.errors import Place, WarehouseError
from gemel.spec.limits import NO_LIMITS, Limits
from gemel.spec.zones import UTC
from gemel.temporary import temporary_folder

if TYPE_CHECKING:
    import psycopg
    import pyarrow
    from psycopg.sql import Composed

    from gemel.engines.connections.borrowing import Borrower
    from gemel.engines.connections.scratch import Scratch

    Session = psycopg.Connection[tuple[Any, ...]]

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
    """The tables of one database, for any number of threads. Nothing is opened before the first query."""

    dialect = "postgres"

    def __init__(self, server: Server, *, limits: Limits = NO_LIMITS) -> None:
        self.server = server
        self.timezone = UTC
        self._idle: list[Session] = []
        self.prepare(limits)

    def prepare(
        self, limits: Limits, *, say: Callable[[str], None] = lambda line: None, folders: Sequence[Path] = ()
    ) -> None:
        """What queries may need. Before the first query."""
        self._limits = limits
        self._turns = Turns(limits.at_once, limits.wait)

    def run(self, sql: str, *, numbers: Mapping[str, str] | None = None, limits: Limits = NO_LIMITS) -> "Result":
        """The result of `sql`, which is bound now and run when its rows are requested. `numbers` are the columns of
        metrics, each with the type that its whole numbers get.

        Raises WarehouseError: G401 for the server, G405-G407 for the SQL, G410 for the limits.
        """
        described = self.describe(sql)
        return Result(self, sql, described, casts=cast_types(described, numbers or {}), limits=limits)

    def describe(self, sql: str) -> tuple[tuple[str, str], ...]:
        """The names and DuckDB types of the columns of `sql`: `(("revenue", "DECIMAL(38,2)"),)`.

        By the server's parser alone: the SQL is neither planned nor run. A sum of BIGINTs, which is a numeric here, is
        a HUGEINT, as in DuckDB. The greatest of some values has their own type, so the same SQL with MAX for each SUM
        tells it from a sum of numerics.
        """
        described = self._describe(sql)
        if not any(kind == NUMERIC for _, kind in described) or (greatest := with_greatest(sql)) is None:
            return described
        try:
            own = dict(self._describe(greatest))
        except WarehouseError:  # no other reason than a sum of what has no order
            return described
        return tuple((name, HUGE if kind == NUMERIC and own.get(name) in WHOLE else kind) for name, kind in described)

    def _describe(self, sql: str) -> tuple[tuple[str, str], ...]:
        with self._session(NO_LIMITS) as session:
            import psycopg
            from psycopg import pq

            link = session.pgconn
            described = link.prepare(b"", sql.encode())
            if described.status == pq.ExecStatus.COMMAND_OK:
                described = link.describe_prepared(b"")
            if described.status != pq.ExecStatus.COMMAND_OK:
                raise psycopg.errors.error_from_result(described)
            return tuple(
                ((described.fname(n) or b"").decode(), type_of(session, described.ftype(n), described.fmod(n)))
                for n in range(described.nfields)
            )

    def catalogs(self) -> frozenset[str]:
        """The one database that SQL can name here."""
        return frozenset({self.server.database})

    def zone(self, target: Target | None = None) -> str:
        """The time zone in which the server begins this user's sessions, including dbt's."""
        return str(self.rows("SELECT reset_val FROM pg_settings WHERE name = 'TimeZone'")[0][0])

    def close(self) -> None:
        """Close every session, after the queries of other threads have ended. The next query opens another."""
        with self._turns.close():
            while self._idle:
                self._idle.pop().close()

    def __enter__(self) -> "Warehouse":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def rows(self, sql: str, *, limits: Limits = NO_LIMITS) -> list[tuple[Any, ...]]:
        """Every row. Raises WarehouseError (G410) if there are more than the limits allow."""
        with self._session(limits) as session:
            if limits.rows is None:
                return session.execute(sql).fetchall()
            with session.cursor("gemel") as cursor:  # the server sends no more than are requested
                return within(limits.rows, cursor.execute(sql).fetchmany(limits.rows + 1))

    def batches(self, sql: str, *, size: int = BATCH) -> Iterator[list[tuple[Any, ...]]]:
        """The rows in batches, of a result that need not fit into memory."""
        with self._session(NO_LIMITS) as session, session.cursor("gemel") as cursor:
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
        with temporary_folder() as folder, self.scratch(folder) as first:
            yield lambda temp: first.beside()

    @contextmanager
    def _session(self, limits: Limits) -> "Iterator[Session]":
        """A session in a read-only transaction, which nobody else has. It is reset afterwards."""
        with translate_errors(self.server, limits), self._turns.take():
            session = self._begin(limits)
            try:
                with _cancelling(session):
                    yield session
            finally:
                self._reset(session)

    def _begin(self, limits: Limits) -> "Session":
        """Begin the transaction. An idle session that the server has ended meanwhile is replaced."""
        import psycopg

        begin = _beginning(limits)
        while self._idle:
            with suppress(IndexError):  # another thread took the last one
                session = self._idle.pop()
                try:
                    session.execute(begin)
                except psycopg.OperationalError:
                    session.close()
                else:
                    return session
        session = self._connect()
        session.execute(begin)
        return session

    def _connect(self) -> "Session":
        import psycopg

        session = _connect(self.server)
        try:
            try:
                session.execute(self._setting())
            except psycopg.errors.InsufficientPrivilege:
                self._limits = replace(self._limits, disk=None)  # few roles may limit it
                session.execute(self._setting())
        except BaseException:
            session.close()
            raise
        return session

    def _setting(self) -> "Composed":
        """The statements after which a session is as every session begins."""
        from psycopg import sql

        settings = {"default_transaction_read_only": "on", "TimeZone": self.timezone, "DateStyle": "ISO"}
        if self.server.search_path:
            settings["search_path"] = self.server.search_path
        if self._limits.memory is not None:
            settings["work_mem"] = f"{max(64, self._limits.memory // 1024)}kB"
        if self._limits.disk is not None:
            settings["temp_file_limit"] = f"{self._limits.disk // 1024}kB"
        set_one = sql.SQL("SELECT set_config({}, {}, false)")
        statements = [set_one.format(sql.Literal(name), sql.Literal(value)) for name, value in settings.items()]
        if self.server.role:
            statements.append(sql.SQL("SET ROLE {}").format(sql.Identifier(self.server.role)))
        return sql.SQL("; ").join(statements)

    def _reset(self, session: "Session") -> None:
        """Undo whatever a query can change in its session, and keep the session for the next one."""
        import psycopg

        try:
            if is_cancelled():
                session.close()  # the server may be about to cancel once more
                return
            session.execute(_UNDOING + self._setting().as_string(session))
        except psycopg.Error:
            session.close()
        else:
            self._idle.append(session)


class Result:
    """The result of one SQL text, which is run when its rows are first requested."""

    def __init__(
        self,
        warehouse: Warehouse,
        sql: str,
        described: Sequence[tuple[str, str]],
        *,
        casts: Mapping[str, str],
        limits: Limits,
    ) -> None:
        self._warehouse = warehouse
        self._sql = sql
        self._casts = casts
        self._limits = limits
        self.columns: tuple[str, ...] = tuple(name for name, _ in described)
        # A numeric that is not cast has as many digits as it needs.
        own = {HUGE: NUMERIC}
        self.types: tuple[str, ...] = tuple(casts.get(name, own.get(kind, kind)) for name, kind in described)
        self._rows: list[tuple[Any, ...]] | None = None

    def rows(self) -> list[tuple[Any, ...]]:
        """Plain Python values, a tuple a row."""
        if self._rows is None:
            with naming(self._casts):
                self._rows = self._cast(self._warehouse.rows(self._sql, limits=self._limits))
        return self._rows

    def _cast(self, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        if not rows or not self._casts:
            return rows
        values: list[Sequence[Any]] = list(zip(*rows, strict=True))
        for place, name in enumerate(self.columns):
            if name in self._casts:
                values[place] = cast_values(values[place], name, self._casts[name])
        return list(zip(*values, strict=True))

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


def _connect(server: Server) -> "Session":
    installed("psycopg", "install gemel's extra `postgres`: pip install dbt-postgres 'feast[postgres]'")
    import psycopg

    options = {**server.options, "dbname": server.database, "application_name": "gemel"}
    try:
        # What is prepared on the server would outlive the reset of its session.
        return psycopg.connect(**options, autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        first = str(error).strip().splitlines()[-1]
        raise WarehouseError(
            "G401",
            f"{server} cannot be reached: {first}",
            hint="is the server up, and is the target in profiles.yml right?",
        ) from None


@contextmanager
def _cancelling(session: "Session") -> "Iterator[None]":
    """Let another thread cancel what the session runs. The server forgets it if nothing has begun yet: it is told
    again, until the block ends."""
    import psycopg

    ended = Event()

    def cancel() -> None:
        while not ended.wait(_PAUSE):
            with suppress(psycopg.Error):
                session.cancel_safe(timeout=5)

    canceller = Thread(target=cancel, daemon=True)
    try:
        with stopping(canceller.start):
            yield
    except psycopg.errors.QueryCanceled:
        check()
        raise
    finally:
        ended.set()
        if canceller.ident is not None:
            canceller.join()


_PAUSE = 0.05  # seconds between two times that the server is told


def _beginning(limits: Limits) -> "Composed":
    from psycopg import sql

    statements = [sql.SQL("BEGIN READ ONLY").format()]
    if limits.time is not None:
        milliseconds = max(1, round(limits.time * 1000))  # zero would be no limit
        statements.append(sql.SQL("SET LOCAL statement_timeout = {}").format(sql.Literal(milliseconds)))
    return sql.SQL("; ").join(statements)


_UNDOING = (
    "ROLLBACK; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; CLOSE ALL; DEALLOCATE ALL; "
    "SELECT pg_advisory_unlock_all(); "
)
"""As DISCARD ALL, which cannot be sent together with other statements."""


@contextmanager
def translate_errors(server: Server, limits: Limits = NO_LIMITS) -> Iterator[None]:
    installed("psycopg", "install gemel's extra `postgres`: pip install dbt-postgres 'feast[postgres]'")
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise _error(error, server, limits) from None


def _error(error: "psycopg.Error", server: Server, limits: Limits) -> WarehouseError:
    message = getattr(error.diag, "message_primary", None) or str(error).strip()
    first = message.splitlines()[0] if message else type(error).__name__
    hint = error.diag.message_hint
    code = error.sqlstate or ""
    match code:
        case "42501":
            return WarehouseError("G405", first, hint="the profile's user or `role` needs the right to read it")
        case "42P01" | "3F000" | "3D000":
            return WarehouseError(
                "G405", first, hint="`dbt build` creates the tables; was it run since the models changed?"
            )
        case _ if code.startswith("42"):
            return WarehouseError(
                "G406",
                first,
                hint=hint or "check the filters and the definitions (--explain prints the SQL), and run `dbt build`",
            )
        case "57014" if limits.time is not None and "statement timeout" in first:
            return exceeded_time(limits.time)
        case "53400":
            return WarehouseError("G410", first, hint=MORE_DISK)
        case _ if code.startswith("22"):
            return WarehouseError("G407", first, hint=TYPE_MISMATCH)
        case "" | "57P01" | "57P02" | "57P03" | "08006" | "08003":
            return WarehouseError("G401", f"{server}: {first}", hint="is the server up?")
        case _:
            return WarehouseError("G407", first, hint=hint)
