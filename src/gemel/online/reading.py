"""Online features of entity rows: each value with the time of its row, and whether it is older than the view's `ttl`.

Feast serves a value however old it is.
"""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

from gemel.errors import BridgeError
from gemel.online.encoding import encode_keys
from gemel.online.newest import OnlineView
from gemel.online.store import OnlineStore, StoredRow

Part = tuple[OnlineView, Sequence[str]]
"""A view, and the requested features of it."""


@dataclass(slots=True)
class OnlineRow:
    """The features of one entity row. `moments`: by feature, the time of its row, only for features that are online.

    `stale`: the features that are older than their view's `ttl`.
    """

    values: dict[str, Any] = field(default_factory=dict)
    moments: dict[str, dt.datetime] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)


def read(
    store: OnlineStore, parts: Sequence[Part], rows: Sequence[Mapping[str, Any]], *, now: dt.datetime | None = None
) -> list[OnlineRow | None]:
    """The features of each entity row, None if none of them is online. Raises BridgeError (G535, G56x)."""
    stored = [find(store, view, features, rows) for view, features in parts]
    answers = combine([(view.ttl, names) for view, names in parts], stored, len(rows), now=now)
    return [answer if answer.moments else None for answer in answers]


def combine(
    requested: Sequence[tuple[dt.timedelta | None, Sequence[str]]],
    stored: Sequence[Sequence[StoredRow | None]],
    count: int,
    *,
    now: dt.datetime | None = None,
) -> list[OnlineRow]:
    """Combine the stored values of each view into one answer for each of `count` rows. `requested` has the ttl and the
    features of each view."""
    moment = now or dt.datetime.now(dt.UTC)
    answers = [OnlineRow() for _ in range(count)]
    for (ttl, features), rows in zip(requested, stored, strict=True):
        for answer, each in zip(answers, rows, strict=True):
            _add(answer, ttl, features, each, moment)
    return answers


def find(
    store: OnlineStore, view: OnlineView, features: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> list[StoredRow | None]:
    """The stored features of one view for each entity row; None for a row with a NULL key, which no table has."""
    is_whole, keys = encode_rows(view, rows)
    found = iter(store.read(view.name, features, keys) if keys else ())
    return [next(found) if each else None for each in is_whole]


def encode_rows(view: OnlineView, rows: Sequence[Mapping[str, Any]]) -> tuple[list[bool], list[bytes]]:
    """For each row, whether it has no NULL key; and the encoded keys of those rows."""
    keys = [tuple(key(row.get(entity), type_, entity) for entity, type_ in view.entities.items()) for row in rows]
    whole = [each for each in keys if None not in each]
    columns = [list(column) for column in zip(*whole, strict=True)]
    return [None not in each for each in keys], encode_keys(view.entities, columns) if whole else []


def _add(
    answer: OnlineRow, ttl: dt.timedelta | None, features: Sequence[str], stored: StoredRow | None, now: dt.datetime
) -> None:
    for name in features:
        answer.values[name] = stored.values[name] if stored else None
    if stored is None or stored.moment is None:
        return
    answer.moments |= dict.fromkeys(features, stored.moment)
    if ttl and now - stored.moment > ttl:
        answer.stale += features


def key(value: Any, type_: str, entity: str) -> str | int | None:
    """An entity's key as a value of its type. A number may be a string, and a NULL of it an empty one."""
    if type_ == "string" and isinstance(value, str):
        return value
    if is_null(value) or (value == "" and type_ != "string"):
        return None
    if type_ != "string" and isinstance(value, str | Integral) and not isinstance(value, bool):
        value = value if isinstance(value, str) else int(value)  # of NumPy, say
        return parse_integer(value, 32 if type_ == "int32" else 64, f"entity {entity!r}")
    kind = "a string" if type_ == "string" else "an integer"
    raise BridgeError("G535", f"entity {entity!r} must be {kind}, not {value!r}")


def is_null(value: Any) -> bool:
    """Whether a value is NULL, in Python's words or those of a DataFrame's row."""
    return (
        value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    )


def parse_integer(value: str | int, bits: int, what: str) -> int:
    """An integer, possibly from a string. Raises BridgeError (G535), also for forms that only Python accepts."""
    if isinstance(value, str) and not re.fullmatch(r"[+-]?[0-9]+", value):
        raise BridgeError("G535", f"{what} must be an integer, not {value[:80]!r}", hint="write only digits")
    limit = 2 ** (bits - 1)
    number = int(value) if len(str(value)) <= 40 else limit
    if not -limit <= number < limit:
        message = f"{what} is an integer of {bits} bits, and {str(value)[:80]} is out of its range"
        raise BridgeError("G535", message, hint=f"the range is {-limit} to {limit - 1}")
    return number
