"""Feast's SQLite online store: a table for each view, a row for each feature of each entity.

Each transaction writes some thousands of entities with all of their features: a reader never waits long, and never sees
half an entity.

Beside the times that Feast stores, each row of ours has its true time (`gemel_event_ts`, microseconds since 1970) and a
checksum of Feast's two times, which shows whether Feast has written the row since.
"""

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gemel.errors import BridgeError
from gemel.online.config import SqliteStore
from gemel.online.encoding import decode_time, decode_value, encode_values, value_texts
from gemel.online.local_times import Zone, from_local, last_local, to_local
from gemel.online.newest import Batch, Newest, OnlineView
from gemel.online.store import Found, Progress, State, States, StoredRow, Wanted

STATES = "gemel_materialized"
TIME, CHECK = "gemel_event_ts", "gemel_check"
LOOKED_UP = 500  # keys per query
LISTED = 5_000  # keys per query
COMMITTED = 20_000  # entities per transaction
WAIT = 30.0  # seconds, for another writer
CACHE, READ_CACHE = -128_000, -16_000  # KiB

_Times = tuple[int, int | None, int | None, int | None]
"""Of a row: Feast's two times, and our time and checksum."""

_File = tuple[int, int] | None


class Sqlite:
    """A SQLite file, which is created when something is first written."""

    sort = True
    why_unlisted: str | None = None

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self._connection: sqlite3.Connection | None = None
        self._file: _File = None
        self._states = States()
        self._zones: dict[object, Zone] = {}

    def state(self, view: str) -> State:
        with self._reading() as con:
            return State() if con is None else self._states.parse(view, _find_state(con, self._table(view)))

    def write(self, view: OnlineView, rows: Newest, *, until: int, progress: Progress) -> None:
        table = self._table(view.name)
        before = self.state(view.name).for_origin(view.origin)
        begun = replace(before.begin(rows, view.origin), zone=Zone.of_process())
        with self._writing() as con:
            empty = _prepare(con, table)
            # Saved before anything is written: after a kill, the next run then knows which rows are ours.
            _keep(con, table, begun)
            con.commit()
            con.execute("CREATE TEMP TABLE wanted (entity_key BLOB PRIMARY KEY) WITHOUT ROWID")
            ours = _is_ours(begun.last)
            put = _insert(table, sorted(view.features), None if empty else ours)
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
                _remove(con, table, view, ours)
            con.execute(f"CREATE INDEX IF NOT EXISTS {_quoted(table + '_ek')} ON {_quoted(table)} (entity_key)")
            _keep(con, table, replace(before.finish(rows, view.origin, until), zone=begun.zone))
            con.commit()

    def read(self, wanted: Sequence[Wanted]) -> list[Found]:
        with self._reading() as con:
            if con is None:
                return [(State(), [None] * len(each.keys)) for each in wanted]
            con.execute("BEGIN")  # one state of the file for all
            try:
                return [self._read(con, each) for each in wanted]
            finally:
                con.rollback()

    def _read(self, con: sqlite3.Connection, wanted: Wanted) -> Found:
        table = self._table(wanted.view)
        state = self._states.parse(table, _find_state(con, table))
        values: dict[bytes, dict[str, bytes]] = {}
        times: dict[bytes, _Times] = {}
        features = set(wanted.features)
        for start in range(0, len(wanted.keys), LOOKED_UP):
            for key, name, value, *row_times in _select(con, table, wanted.keys[start : start + LOOKED_UP]):
                if name in features:
                    of_key = values.get(key)
                    if of_key is None:
                        of_key = values[key] = {}
                        times[key] = tuple(row_times)
                    of_key[name] = value
        if not values:
            return state, [None] * len(wanted.keys)
        moments = {each: decode_time(self._moment(wanted.view, state, each)) for each in set(times.values())}
        return state, [
            StoredRow(moments[times[key]], {name: decode_value(found.get(name, b"")) for name in wanted.features})
            if (found := values.get(key)) is not None
            else None
            for key in wanted.keys
        ]

    def keys(self, view: OnlineView) -> Iterator[list[bytes]]:
        """Each batch is a query of its own: a writer never waits for the whole scan."""
        table, last = self._table(view.name), b""
        while True:
            with self._reading() as con:
                if con is None or not _columns(con, table):
                    return
                query = (
                    f"SELECT DISTINCT entity_key FROM {_quoted(table)} WHERE entity_key > ? ORDER BY entity_key LIMIT ?"
                )
                batch = [key for (key,) in con.execute(query, [last, LISTED])]
            if not batch:
                return
            yield batch
            last = batch[-1]

    def _moment(self, view: str, state: State, times: _Times) -> int:
        """The moment of a row. Raises BridgeError (G566) for a row of Feast, if gemel wrote in another time zone."""
        event, created, ours, check = times
        if check is not None and ours is not None and check == _check(event, created):
            return ours
        if state.zone is not None:
            self._check_zone(view, state.zone)
        try:
            return from_local(event)
        except (ValueError, OverflowError, OSError):
            raise BridgeError(
                "G563",
                f"the online store has a time that gemel did not write: {event}",
                hint="run `gemel features materialize`, which rewrites the values",
            ) from None

    def _check_zone(self, view: str, loaders: Zone) -> None:
        """Raises BridgeError (G566) if Feast cannot be expected to have written in this process's time zone."""
        clocks = (time.tzname, time.timezone, time.altzone)
        here = self._zones.get(clocks)
        if here is None:
            here = self._zones[clocks] = Zone.of_process()
        if not here.is_same(loaders):
            raise BridgeError(
                "G566",
                f"rows of {view!r} in the online store were written by Feast, which stores local times without their "
                f"zone: gemel wrote the others in {loaders.name}, and this process runs in {here.name}",
                hint="run all that writes to the store or reads it with one TZ, such as TZ=UTC; then `gemel features "
                "materialize` makes its times right",
            )

    def is_current(self) -> bool:
        return self._connection is None or self._file == _identify(self.store.path)

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
            con.execute(f"PRAGMA cache_size = {CACHE}")
            try:
                yield con
            finally:
                con.rollback()
                con.execute("DROP TABLE IF EXISTS temp.wanted")

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._file = _identify(self.store.path)
            # One thread at a time uses it, if not always the same.
            self._connection = sqlite3.connect(self.store.path, timeout=WAIT, check_same_thread=False)
            self._connection.execute(f"PRAGMA cache_size = {READ_CACHE}")
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
    existing = _columns(con, table)  # of Feast, or of an older one
    for name, type_ in (("value_text", "TEXT"), (TIME, "INTEGER"), (CHECK, "INTEGER")):
        if name not in existing:
            con.execute(f"ALTER TABLE {_quoted(table)} ADD COLUMN {name} {type_}")
    empty = con.execute(f"SELECT 1 FROM {_quoted(table)} LIMIT 1").fetchone() is None
    if empty:
        con.execute(f"DROP INDEX IF EXISTS {_quoted(table + '_ek')}")
    return empty


def _insert(table: str, features: Sequence[str], ours: str | None) -> str:
    """One statement for a whole entity: executing statements, not writing, is what costs.

    With the condition `ours`, existing rows for which it is true are replaced, unless they are equal.
    """
    row = "(?1, ?2, ?3, ?4, ?5, {}, ?{}, ?{})"
    rows = (row.format(_text(name), 6 + 2 * index, 7 + 2 * index) for index, name in enumerate(features))
    names = f"event_ts, created_ts, entity_key, {TIME}, {CHECK}, feature_name, value, value_text"
    insert = f"INSERT INTO {_quoted(table)} AS old ({names}) VALUES {', '.join(rows)}"
    if ours is None:
        return insert
    columns = ("value", "value_text", "event_ts", "created_ts", TIME, CHECK)
    news = ", ".join(f"{name} = excluded.{name}" for name in columns)
    differs = " OR ".join(f"old.{name} IS NOT excluded.{name}" for name in columns if name != "value_text")
    return f"{insert} ON CONFLICT(entity_key, feature_name) DO UPDATE SET {news} WHERE {ours} AND ({differs})"


def _rows(view: OnlineView, batch: Batch, clock: "_Clock") -> Iterator[tuple[object, ...]]:
    """The parameters of each entity: Feast's times, the key, our time and checksum, then the value and the text of each
    feature by name."""
    events = [clock[moment] for moment in batch.moments]
    created = [None if moment is None else clock[moment] for moment in batch.created]
    checks = map(_check, events, created)
    columns: list[Sequence[object]] = []
    for name in sorted(view.features):
        columns.append(encode_values(view.features[name], batch.columns[name]))
        columns.append(value_texts(view.features[name], batch.columns[name]))
    return zip(events, created, batch.keys, batch.moments, checks, *columns, strict=True)


def _remove(con: sqlite3.Connection, table: str, view: OnlineView, ours: str) -> None:
    """Remove entities that the feature table no longer has, and features that the view no longer has."""
    marks = ", ".join("?" * len(view.features))
    gone = f"entity_key NOT IN (SELECT entity_key FROM temp.wanted) OR feature_name NOT IN ({marks})"
    con.execute(f"DELETE FROM {_quoted(table)} AS old WHERE ({gone}) AND {ours}", [*view.features])


def _keep(con: sqlite3.Connection, table: str, state: State) -> None:
    con.execute(f"INSERT OR REPLACE INTO {STATES} VALUES (?, ?)", [table, state.text()])


def _columns(con: sqlite3.Connection, table: str) -> set[str]:
    """The columns of a table; none if there is no such table."""
    return {row[1] for row in con.execute(f"PRAGMA table_info({_quoted(table)})")}


def _find_state(con: sqlite3.Connection, table: str) -> str | None:
    """The text of the state that we keep of a view's table; None if there is none."""
    try:
        row = con.execute(f"SELECT state FROM {STATES} WHERE name = ?", (table,)).fetchone()
    except sqlite3.OperationalError as error:
        if not str(error).startswith("no such table"):
            raise
        return None
    return row[0] if row else None


def _select(con: sqlite3.Connection, table: str, keys: Sequence[bytes]) -> Iterable[tuple[Any, ...]]:
    """The key, name, value and times of each feature of the entities. Nothing without the table."""
    query = (
        f"SELECT entity_key, feature_name, value, CAST(event_ts AS INTEGER), created_ts, {{}} FROM {_quoted(table)} "
        f"WHERE entity_key IN ({','.join('?' * len(keys))})"
    )
    for ours in (f"{TIME}, {CHECK}", "NULL, NULL"):  # Feast's own table has no such columns
        try:
            return con.execute(query.format(ours), keys).fetchall()
        except sqlite3.OperationalError as error:
            if not str(error).startswith(("no such table", "no such column")):
                raise
    return ()


def _identify(file: Path) -> _File:
    """What tells a file from another one at its path later."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_dev, status.st_ino


class _Clock(dict[int, int]):
    """The time that Feast stores for a moment, computed once per moment: many rows share a moment."""

    def __missing__(self, moment: int) -> int:
        stored = self[moment] = to_local(moment)
        return stored


def _check(event: int, created: int | None) -> int:
    """A checksum of the two times that Feast stores. `_CHECK` is the same in SQL."""
    return event << 20 | (created or 0) & 0xFFFFF


_CHECK = "((old.event_ts << 20) | (coalesce(old.created_ts, 0) & 0xFFFFF))"


def _is_ours(last: int | None) -> str:
    """The condition that row `old` is not newer than `last`, the latest of ours: what is newer, others wrote."""
    if last is None:
        return "FALSE"
    return f"CASE WHEN old.{CHECK} IS {_CHECK} THEN old.{TIME} <= {last} ELSE old.event_ts <= {last_local(last)} END"


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
