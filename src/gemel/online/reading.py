"""What is online for entity rows, each value with the time of its row, and those told that are older than their `ttl`.

Feast serves a value however old it is.
"""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gemel.errors import BridgeError
from gemel.online.encoding import encode_keys
from gemel.online.newest import OnlineView
from gemel.online.store import Found, OnlineStore

Part = tuple[OnlineView, Sequence[str]]
"""A view, and which of its features are asked for."""


@dataclass(slots=True)
class OnlineRow:
    """The features of one entity row. `moments`: by feature, the time of its row; none for what is not online.

    `stale` are the features that are older than their view's `ttl`.
    """

    values: dict[str, Any] = field(default_factory=dict)
    moments: dict[str, dt.datetime] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)


def read(
    store: OnlineStore, parts: Sequence[Part], rows: Sequence[Mapping[str, Any]], *, now: dt.datetime | None = None
) -> list[OnlineRow | None]:
    """An answer for each entity row, None where nothing of it is online. Raises BridgeError (G535, G56x)."""
    found = [find(store, view, features, rows) for view, features in parts]
    answers = combine([(view.ttl, names) for view, names in parts], found, len(rows), now=now)
    return [answer if answer.moments else None for answer in answers]


def combine(
    asked: Sequence[tuple[dt.timedelta | None, Sequence[str]]],
    found: Sequence[Sequence[Found | None]],
    count: int,
    *,
    now: dt.datetime | None = None,
) -> list[OnlineRow]:
    """One answer for each of `count` rows, of what was found of each view; `asked` are the views' ttl and features."""
    moment = now or dt.datetime.now(dt.UTC)
    answers = [OnlineRow() for _ in range(count)]
    for (ttl, features), rows in zip(asked, found, strict=True):
        for answer, each in zip(answers, rows, strict=True):
            _add(answer, ttl, features, each, moment)
    return answers


def find(
    store: OnlineStore, view: OnlineView, features: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> list[Found | None]:
    """What the store holds of one view for each entity row."""
    columns = [[key(row.get(entity), type_, entity) for row in rows] for entity, type_ in view.entities.items()]
    return store.read(view.name, features, encode_keys(view.entities, columns))


def _add(
    answer: OnlineRow, ttl: dt.timedelta | None, features: Sequence[str], found: Found | None, now: dt.datetime
) -> None:
    for name in features:
        answer.values[name] = found.values[name] if found else None
    if found is None or found.moment is None:
        return
    answer.moments |= dict.fromkeys(features, found.moment)
    if ttl and now - found.moment > ttl:
        answer.stale += features


def key(value: Any, type_: str, entity: str) -> str | int:
    """An entity's key as its type is; a number may be given as text."""
    if type_ == "string" and isinstance(value, str):
        return value
    if type_ != "string" and isinstance(value, str | int) and not isinstance(value, bool):
        return whole(value, 32 if type_ == "int32" else 64, f"entity {entity!r}")
    what = "a text" if type_ == "string" else "an integer"
    raise BridgeError("G535", f"entity {entity!r} is {what}, not {value!r}")


def whole(value: str | int, bits: int, what: str) -> int:
    """An integer, which may be given as text. Raises BridgeError (G535), also for what Python alone would read."""
    if isinstance(value, str) and not re.fullmatch(r"[+-]?[0-9]+", value):
        raise BridgeError("G535", f"{what} is an integer, not {value[:80]!r}", hint="write only its digits")
    limit = 2 ** (bits - 1)
    number = int(value) if len(str(value)) <= 40 else limit
    if not -limit <= number < limit:
        told = f"{what} is an integer of {bits} bits, and {str(value)[:80]} is out of its range"
        raise BridgeError("G535", told, hint=f"from {-limit} to {limit - 1}")
    return number
