"""How far each view is online, as Feast's registry has it: stock `feast materialize-incremental` begins there.

Written as Feast's `apply_materialization` does it, with one interval from the beginning in place of all earlier ones,
as our loader brings the whole table online.
"""

import datetime as dt
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from gemel.errors import BridgeError, reason_of
from gemel.online.config import RegistryDatabase, RegistryFile
from gemel.online.registry.messages import (
    BYTES,
    NUMBER,
    Field,
    embedded,
    fields_of,
    message,
    message_at,
    number_at,
    text_at,
)
from gemel.whole_files import replace_when_complete

BEGINNING = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

# Fields of Feast's messages Registry, FeatureView, FeatureViewSpec and FeatureViewMeta.
_VERSION, _CHANGED, _VIEWS = 4, 5, 6
_SPEC, _META = 1, 2
_NAME, _PROJECT = 1, 2
_VIEW_CHANGED, _INTERVALS, _STATE = 2, 3, 6
_AVAILABLE = 4
"""The state AVAILABLE_ONLINE: a stock `feast materialize` that was killed leaves one in which nothing is served."""


class Intervals(Protocol):
    """The intervals in a registry. Raises BridgeError (G530, G531) if it cannot be read or written."""

    def until(self) -> dict[str, dt.datetime | None]:
        """By view, the moment up to which it is online; None if it never was."""
        ...

    def record(self, view: str, until: dt.datetime) -> bool:
        """The view is online up to a moment. False if the registry does not have the view."""
        ...

    def forget(self, view: str) -> None:
        """The view is not online: its intervals are of another store."""
        ...


class FileIntervals:
    """Those in a registry file."""

    def __init__(self, registry: RegistryFile) -> None:
        self.registry = registry

    def until(self) -> dict[str, dt.datetime | None]:
        views = (list(fields_of(_bytes(each))) for each in self._fields() if each.number == _VIEWS)
        return {_name(view): _end(view) for view in views if self._is_ours(view)}

    def record(self, view: str, until: dt.datetime) -> bool:
        return self._change(view, until)

    def forget(self, view: str) -> None:
        self._change(view, None)

    def _change(self, view: str, until: dt.datetime | None) -> bool:
        fields = self._fields()
        for place, each in enumerate(fields):
            inner = list(fields_of(_bytes(each))) if each.number == _VIEWS else []
            if inner and self._is_ours(inner) and _name(inner) == view:
                changed = embedded(_VIEWS, _with_interval(inner, until))
                if until is not None or _end(inner) is not None:
                    self._write([*fields[:place], changed, *fields[place + 1 :]])
                return True
        return False

    def _is_ours(self, view: Sequence[Field]) -> bool:
        return text_at(message_at(view, _SPEC), _PROJECT) == self.registry.project

    def _fields(self) -> list[Field]:
        try:
            return list(fields_of(self.registry.path.read_bytes()))
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise BridgeError("G530", f"Feast's registry {self.registry.path} cannot be read: {error}") from None

    def _write(self, fields: Sequence[Field]) -> None:
        new = {
            _VERSION: Field(_VERSION, BYTES, str(uuid.uuid4()).encode()),
            _CHANGED: embedded(_CHANGED, _time(dt.datetime.now(dt.UTC))),
        }
        content = message(sorted([*(each for each in fields if each.number not in new), *new.values()], key=_number))
        path = self.registry.path.resolve()
        try:
            mode = path.stat().st_mode
            with replace_when_complete(path) as part, open(part, "wb") as file:
                file.write(content)
            os.chmod(path, mode)
        except OSError as error:
            raise BridgeError("G530", f"Feast's registry {path} cannot be written: {reason_of(error)}") from None


class DatabaseIntervals:
    """Those in a registry in a database. Feast has SQLAlchemy."""

    def __init__(self, registry: RegistryDatabase) -> None:
        self.registry = registry

    def until(self) -> dict[str, dt.datetime | None]:
        with self._opened() as (connection, table):
            if table is None:
                return {}
            rows = connection.execute(table.select().where(table.c.project_id == self.registry.project))
            return {row.feature_view_name: _end(list(fields_of(row.feature_view_proto))) for row in rows}

    def record(self, view: str, until: dt.datetime) -> bool:
        return self._change(view, until)

    def forget(self, view: str) -> None:
        self._change(view, None)

    def _change(self, view: str, until: dt.datetime | None) -> bool:
        with self._opened() as (connection, table):
            if table is None:
                return False
            is_it = (table.c.project_id == self.registry.project) & (table.c.feature_view_name == view)
            row = connection.execute(table.select().where(is_it).with_for_update()).first()
            if row is None:
                return False
            fields = list(fields_of(row.feature_view_proto))
            if until is not None or _end(fields) is not None:
                now = int(dt.datetime.now(dt.UTC).timestamp())
                values = {"feature_view_proto": message(_with_interval(fields, until)), "last_updated_timestamp": now}
                connection.execute(table.update().where(is_it).values(values))
            return True

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, Any]]:
        """A transaction, and the table of feature views; None in its place until Feast makes it."""
        try:
            import sqlalchemy

            engine = sqlalchemy.create_engine(self.registry.url, **self.registry.options)
        except ModuleNotFoundError as error:
            raise BridgeError(
                "G531", f"Feast's registry needs the Python package {error.name}", hint=f"pip install {error.name}"
            ) from None
        except Exception as error:  # SQLAlchemy's own, and those of wrong arguments
            raise _failed(error) from None
        names = ("feature_view_name", "project_id", "last_updated_timestamp", "feature_view_proto")
        table = sqlalchemy.table("feature_views", *map(sqlalchemy.column, names))
        try:
            with engine.begin() as connection:
                yield connection, table if sqlalchemy.inspect(connection).has_table("feature_views") else None
        except (sqlalchemy.exc.SQLAlchemyError, ValueError) as error:
            raise _failed(error) from None
        finally:
            engine.dispose()


def _failed(error: Exception) -> BridgeError:
    reason = " ".join(str(error).split("[SQL")[0].split())[:300]
    hint = "is `registry` in feature_store.yaml right, and is its database running?"
    return BridgeError("G530", f"Feast's registry failed: {reason}", hint=hint)


def _with_interval(view: Sequence[Field], until: dt.datetime | None) -> list[Field]:
    """The feature view with one interval that ends at `until`, or without any."""
    new = [embedded(_VIEW_CHANGED, _time(dt.datetime.now(dt.UTC)))]
    if until is not None:
        interval = [embedded(1, _time(BEGINNING)), embedded(2, _time(max(until, BEGINNING)))]
        new += [embedded(_INTERVALS, interval), Field(_STATE, NUMBER, _AVAILABLE)]
    old = {_VIEW_CHANGED, _INTERVALS, *(each.number for each in new)}
    meta = [each for each in message_at(view, _META) if each.number not in old]
    return [
        *(each for each in view if each.number != _META),
        embedded(_META, sorted([*meta, *new], key=_number)),
    ]


def _name(view: Sequence[Field]) -> str:
    return text_at(message_at(view, _SPEC), _NAME)


def _end(view: Sequence[Field]) -> dt.datetime | None:
    """The last end of the view's intervals."""
    meta = message_at(view, _META)
    ends = [message_at(list(fields_of(_bytes(each))), 2) for each in meta if each.number == _INTERVALS]
    return max((_moment(end) for end in ends), default=None)


def _moment(time: Sequence[Field]) -> dt.datetime:
    return BEGINNING + dt.timedelta(seconds=number_at(time, 1), microseconds=number_at(time, 2) // 1000)


def _time(moment: dt.datetime) -> list[Field]:
    """A protobuf Timestamp."""
    since = moment - BEGINNING
    seconds, nanoseconds = since.days * 86_400 + since.seconds, since.microseconds * 1000
    return [Field(number, NUMBER, value) for number, value in ((1, seconds), (2, nanoseconds)) if value]


def _number(field: Field) -> int:
    return field.number


def _bytes(field: Field) -> bytes:
    assert isinstance(field.value, bytes)
    return field.value
