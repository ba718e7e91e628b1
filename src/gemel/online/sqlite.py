"""Feast's SQLite online store: a table for each view, a row for each feature of each entity.

Each transaction writes some thousands of entities with all of their features: a reader never waits long, and never sees
half an entity.
"""

import datetime as dt
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gemel.errors import BridgeError
from gemel.online.config import SqliteStore
from gemel.online.encoding import EPOCH, decode_value, encode_values, value_texts
from gemel.online.newest import Batch, Newest, OnlineView
from gemel.online.store import Progress, State, StoredRow

STATES = "gemel_materialized"
LOOKED_UP = 500  # keys per query
COMMITTED = 20_000  # entities per transaction
WAIT = 30.0  # seconds, for another writer
CACHE = -128_000  # KiB


class Sqlite:
    """A SQLite file, which is created when something is first written."""

    sort = True

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self._connection: sqlite3.Connection | None = None

    def state(self, view: str) -> State:
        with self._reading() as con:
            if con is None or not _has(con, STATES):
                return State()
            row = con.execute(f"SELECT state FROM {STATES} WHERE name = ?", [self._table(view)]).fetchone()
            return State.parse(row[0] if row else None)

    def write(self, view: OnlineView, rows: Newest, *, until: int, progress: Progress) -> None:
        table = self._table(view.name)
        before = self.state(view.name).for_origin(view.origin)
        begun = before.begin(rows, view.origin)
        with self._writing() as con:
            empty = _prepare(con, table)
            # Saved before anything is written: after a kill, the next run then knows which rows are ours.
            _keep(con, table, begun)
            con.commit()
            con.execute("CREATE TEMP TABLE wanted (entity_key BLOB PRIMARY KEY) WITHOUT ROWID")
            bound = _seconds(begun.last) if begun.last is not None else None
            put = _insert(table, sorted(view.features), None if empty else bound)
            clock = _Clock()
            done = 0
            for batch in rows.batches:
                if not empty:
                    con.executemany("INSERT INTO temp.wanted VALUES (?)", zip(batch.keys, strict=True))
                con.executemany(put, _rows(view, batch, clock))
                done += len(batch.keys)
                if done % COMMITTED < len(batch.keys):
                    con.commit()
                progress(done)
            if not empty:
                _remove(con, table, view, bound)
            con.execute(f"CREATE INDEX IF NOT EXISTS {_quoted(table + '_ek')} ON {_quoted(table)} (entity_key)")
            _keep(con, table, before.finish(rows, view.origin, until))
            con.commit()

    def read(self, view: str, features: Sequence[str], keys: Sequence[bytes]) -> list[StoredRow | None]:
        table = self._table(view)
        rows: dict[bytes, dict[str, bytes]] = {}
        moments: dict[bytes, int] = {}
        with self._reading() as con:
            if con is None or not _has(con, table):
                return [None] * len(keys)
            for start in range(0, len(keys), LOOKED_UP):
                part = keys[start : start + LOOKED_UP]
                query = (
                    f"SELECT entity_key, feature_name, value, CAST(event_ts AS INTEGER) FROM {_quoted(table)} "
                    f"WHERE entity_key IN ({','.join('?' * len(part))})"
                )
                for key, name, value, moment in con.execute(query, part):
                    rows.setdefault(key, {})[name] = value
                    moments[key] = moment
        return [
            StoredRow(_moment(moments[key]), {name: decode_value(rows[key].get(name, b"")) for name in features})
            if key in rows
            else None
            for key in keys
        ]

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _table(self, view: str) -> str:
        return f"{self.store.project}_{view}"

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """The connection; None without a file, as reading must not create one."""
        with self._translate_errors():
            yield self._open() if self._connection is not None or self.store.path.is_file() else None

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._translate_errors():
            self.store.path.parent.mkdir(parents=True, exist_ok=True)
            con = self._open()
            try:
                yield con
            finally:
                con.rollback()
                con.execute("DROP TABLE IF EXISTS temp.wanted")

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(self.store.path, timeout=WAIT)
            self._connection.execute(f"PRAGMA cache_size = {CACHE}")
        return self._connection

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            hint = "is it a SQLite file, and is it writable?"
            if "locked" in str(error):
                hint = "another process is writing to it; wait for it to end"
            raise BridgeError(
                "G561", f"the online store {self.store.path} cannot be used: {error}", hint=hint
            ) from None


def _prepare(con: sqlite3.Connection, table: str) -> bool:
    """Create the view's table as Feast does. Returns whether it is empty: its second index then comes at the end."""
    con.execute(f"CREATE TABLE IF NOT EXISTS {STATES} (name TEXT PRIMARY KEY, state TEXT)")
    con.execute(
        f"CREATE TABLE IF NOT EXISTS {_quoted(table)} (entity_key BLOB, feature_name TEXT, value BLOB, "
        "value_text TEXT, vector_value BLOB, event_ts timestamp, created_ts timestamp, "
        "PRIMARY KEY(entity_key, feature_name))"
    )
    names = {row[1] for row in con.execute(f"PRAGMA table_info({_quoted(table)})")}
    if "value_text" not in names:  # created by an older Feast
        con.execute(f"ALTER TABLE {_quoted(table)} ADD COLUMN value_text TEXT")
    empty = con.execute(f"SELECT 1 FROM {_quoted(table)} LIMIT 1").fetchone() is None
    if empty:
        con.execute(f"DROP INDEX IF EXISTS {_quoted(table + '_ek')}")
    return empty


def _insert(table: str, features: Sequence[str], bound: int | None) -> str:
    """One statement for a whole entity: executing statements, not writing, is what costs.

    With a `bound`, existing rows are replaced, unless they are equal or newer than all of ours.
    """
    row = "(?1, ?2, ?3, {}, ?{}, ?{})"
    rows = (row.format(_text(name), 4 + 2 * index, 5 + 2 * index) for index, name in enumerate(features))
    insert = (
        f"INSERT INTO {_quoted(table)} AS old (event_ts, created_ts, entity_key, feature_name, value, value_text) "
        f"VALUES {', '.join(rows)}"
    )
    if bound is None:
        return insert
    return (
        f"{insert} ON CONFLICT(entity_key, feature_name) DO UPDATE SET value = excluded.value, "
        "value_text = excluded.value_text, event_ts = excluded.event_ts, created_ts = excluded.created_ts "
        f"WHERE old.event_ts <= {bound} AND (old.value IS NOT excluded.value OR old.event_ts IS NOT excluded.event_ts "
        "OR old.created_ts IS NOT excluded.created_ts)"
    )


def _rows(view: OnlineView, batch: Batch, clock: "_Clock") -> Iterator[tuple[object, ...]]:
    """The parameters of each entity: time, creation time, key, then the value and the text of each feature by name."""
    moments = map(clock.__getitem__, batch.moments)
    created = (None if moment is None else clock[moment] for moment in batch.created)
    columns: list[Sequence[object]] = []
    for name in sorted(view.features):
        columns.append(encode_values(view.features[name], batch.columns[name]))
        columns.append(value_texts(view.features[name], batch.columns[name]))
    return zip(moments, created, batch.keys, *columns, strict=True)


def _remove(con: sqlite3.Connection, table: str, view: OnlineView, bound: int | None) -> None:
    """Remove entities that the feature table no longer has, and features that the view no longer has."""
    marks = ", ".join("?" * len(view.features))
    gone = f"entity_key NOT IN (SELECT entity_key FROM temp.wanted) OR feature_name NOT IN ({marks})"
    con.execute(f"DELETE FROM {_quoted(table)} WHERE ({gone}) AND event_ts <= ?", [*view.features, bound])


def _keep(con: sqlite3.Connection, table: str, state: State) -> None:
    con.execute(f"INSERT OR REPLACE INTO {STATES} VALUES (?, ?)", [table, state.text()])


def _has(con: sqlite3.Connection, table: str) -> bool:
    return con.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", [table]).fetchone() is not None


class _Clock(dict[int, int]):
    """Microseconds since 1970 to the seconds that Feast stores, computed once per moment: many rows share a moment."""

    def __missing__(self, moment: int) -> int:
        seconds = self[moment] = _seconds(moment)
        return seconds


def _seconds(moment: int) -> int:
    """As Feast does, treat UTC as local time. Feast's reader, on a machine in the same zone, reverses it."""
    return int((EPOCH + dt.timedelta(microseconds=moment)).replace(tzinfo=None).timestamp())


def _moment(stored: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(stored).replace(tzinfo=dt.UTC)


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
