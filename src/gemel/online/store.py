"""The interface of our online stores, and the state that they keep for each view."""

import datetime as dt
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gemel.builds.records import Build
from gemel.features.origins import Origin
from gemel.online.local_times import Zone
from gemel.online.newest import Newest, OnlineView

Progress = Callable[[int], None]
"""Receives the number of entities that are done."""


EVER = 250_000_000_000_000_000
"""Microseconds since 1970: later than any row."""


@dataclass(frozen=True, slots=True)
class State:
    """The state of a view, kept in the online store itself: deleting the store deletes it. Times are microseconds since
    1970.

    `last` is the latest moment of the rows that we wrote or began to write: later rows were written by another program,
    and stay. `until` is the moment as of which the whole view was written, `at` the time of writing, and `origin` the
    target of the table. `zone` is the loader's time zone, in a store that has local times. `build` is what built
    the table when its rows were last written.
    """

    last: int | None = None
    until: int | None = None
    at: int | None = None
    origin: Origin | None = None
    zone: Zone | None = None
    build: Build | None = None

    def text(self) -> str:
        origin, zone, build = (each.json() if each else None for each in (self.origin, self.zone, self.build))
        times = {"last": self.last, "until": self.until, "at": self.at}
        return json.dumps(times | {"origin": origin, "zone": zone, "build": build})

    @staticmethod
    def parse(text: str | bytes | None) -> "State":
        """Read a state. An empty one if there is none, or if it is not ours."""
        try:
            kept = json.loads(text or "{}")
            last, until, at, origin, zone = map(kept.get, ("last", "until", "at", "origin", "zone"))
            build = Build.parse(kept.get("build"))
            return State(last, until, at, Origin.parse(origin), Zone.parse(zone), build)
        except (ValueError, AttributeError):
            return State()

    def for_origin(self, origin: Origin | None) -> "State":
        """The state for a writer of the rows of `origin`: rows of another target must go, whatever their times."""
        if origin is None or self.origin in (None, origin):
            return self
        return State(EVER, origin=self.origin)

    def begin(self, rows: Newest, origin: Origin | None) -> "State":
        """The state before rows are written."""
        return State(latest(self.last, rows.last), self.until, self.at, origin or self.origin, build=self.build)

    def finish(self, rows: Newest, origin: Origin | None, until: int) -> "State":
        """The state after rows are written."""
        last = rows.last if self.last == EVER else latest(self.last, rows.last)
        return State(last, until, time.time_ns() // 1000, origin or self.origin, build=rows.build)


@dataclass(frozen=True, slots=True)
class StoredRow:
    """The stored features of one view for one entity. `moment` is the time of the row."""

    moment: dt.datetime | None
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Rows to read: features of a view, for entities by their encoded keys."""

    view: str
    features: Sequence[str]
    keys: Sequence[bytes]


Found = tuple[State, list[StoredRow | None]]
"""The state of a view, and the row of each wanted entity."""


class States:
    """Parses states of views. Reads find the same text again and again."""

    def __init__(self) -> None:
        self._parsed: dict[str, tuple[str | bytes | None, State]] = {}

    def parse(self, view: str, text: str | bytes | None) -> State:
        parsed = self._parsed.get(view)
        if parsed is None or parsed[0] != text:
            parsed = self._parsed[view] = text, State.parse(text)
        return parsed[1]


class OnlineStore(Protocol):
    """An online store. `write` makes it hold exactly the given rows of a view; it can be killed and repeated.

    `keys` yields the key of each entity that has a row of a view, in batches; some may come twice. If the store cannot
    list them, `why_unlisted` has the reason. `is_current`: whether what is open is still the store, and not a deleted
    file.
    """

    sort: bool
    why_unlisted: str | None

    def state(self, view: str) -> State: ...
    def write(self, view: OnlineView, rows: Newest, *, until: int, progress: Progress) -> None: ...
    def read(self, wanted: Sequence[Wanted]) -> list[Found]: ...
    def keys(self, view: OnlineView) -> Iterator[list[bytes]]: ...
    def is_current(self) -> bool: ...
    def close(self) -> None: ...


def latest(*moments: int | None) -> int | None:
    return max((moment for moment in moments if moment is not None), default=None)
