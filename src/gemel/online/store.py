"""What any online store of ours can do, and what it remembers of each view."""

import datetime as dt
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gemel.features.origins import Origin
from gemel.online.newest import Newest, OnlineView

Progress = Callable[[int], None]
"""Takes the number of entities that are done."""


EVER = 250_000_000_000_000_000
"""Microseconds since 1970: later than any row."""


@dataclass(frozen=True, slots=True)
class State:
    """Kept in the online store itself, so that it goes when the store goes. Times are microseconds since 1970.

    `last` is the latest moment of any row that we wrote, or began to write: what is stored and later than that was
    written by somebody else, and stays. `until` is the moment as of which all of the view was written, `at` when, and
    `origin` of which target's table.
    """

    last: int | None = None
    until: int | None = None
    at: int | None = None
    origin: Origin | None = None

    def text(self) -> str:
        origin = self.origin.json() if self.origin else None
        return json.dumps({"last": self.last, "until": self.until, "at": self.at, "origin": origin})

    @staticmethod
    def parse(text: str | bytes | None) -> "State":
        """Of nothing, or of what is not ours: nothing is known."""
        try:
            kept = json.loads(text or "{}")
            return State(kept.get("last"), kept.get("until"), kept.get("at"), Origin.parse(kept.get("origin")))
        except (ValueError, AttributeError):
            return State()

    def seen_from(self, origin: Origin | None) -> "State":
        """What it says to who writes the rows of `origin`: all rows of another one are to go, whatever their times."""
        if origin is None or self.origin in (None, origin):
            return self
        return State(EVER, origin=self.origin)

    def begun(self, rows: Newest, origin: Origin | None) -> "State":
        """Before rows are written."""
        return State(latest(self.last, rows.last), self.until, self.at, origin or self.origin)

    def done(self, rows: Newest, origin: Origin | None, until: int) -> "State":
        """Once they are."""
        last = rows.last if self.last == EVER else latest(self.last, rows.last)
        return State(last, until, time.time_ns() // 1000, origin or self.origin)


@dataclass(frozen=True, slots=True)
class Found:
    """What is online of one view for one entity. `moment` is the time of the row."""

    moment: dt.datetime | None
    values: dict[str, Any]


class OnlineStore(Protocol):
    """`write` makes the store hold what should be there, no more and no less; it can be killed and run again."""

    sort: bool

    def state(self, view: str) -> State: ...
    def write(self, view: OnlineView, rows: Newest, *, until: int, progress: Progress) -> None: ...
    def read(self, view: str, features: Sequence[str], keys: Sequence[bytes]) -> list[Found | None]: ...
    def close(self) -> None: ...


def latest(*moments: int | None) -> int | None:
    return max((moment for moment in moments if moment is not None), default=None)
