"""Online features of entity rows: each value with the time of its row, and whether it is older than the view's `ttl`.

Feast serves a value however old it is.
"""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from numbers import Integral
from typing import Any

from gemel.errors import BridgeError
from gemel.online.encoding import encode_keys
from gemel.online.newest import OnlineView
from gemel.online.store import Found, OnlineStore, StoredRow, Wanted

Part = tuple[OnlineView, Sequence[str]]
"""A view, and the requested features of it."""


@dataclass(slots=True)
class OnlineRow:
    """The features of one entity row. `moments`: by feature, the time of its row, only for features that are online.

    `stale`: the features that are older than their view's `ttl`. `outdated`: those of a table that was built from
    another definition than today's.
    """

    values: dict[str, Any] = field(default_factory=dict)
    moments: dict[str, dt.datetime] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)
    outdated: list[str] = field(default_factory=list)


def read(
    store: OnlineStore, parts: Sequence[Part], rows: Sequence[Mapping[str, Any]], *, now: dt.datetime | None = None
) -> list[OnlineRow | None]:
    """The features of each entity row, None if none of them is online. Raises BridgeError (G535, G56x)."""
    stored = [found for _, found in find(store, parts, rows)]
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
        for answer, row in zip(answers, rows, strict=True):
            values = row.values if row else dict.fromkeys(features)
            if len(values) != len(features):  # of a view from which more was read
                values = {name: values[name] for name in features}
            answer.values.update(values)
            if row is None or row.moment is None:
                continue
            answer.moments.update(dict.fromkeys(features, row.moment))
            if ttl and moment - row.moment > ttl:
                answer.stale += features
    return answers


def find(store: OnlineStore, parts: Sequence[Part], rows: Sequence[Mapping[str, Any]]) -> list[Found]:
    """For each view, its state and the stored features of each entity row; None for a row with a NULL key, which no
    table has."""
    encoded = [encode_rows(view, rows) for view, _ in parts]
    wanted = [Wanted(view.name, features, keys) for (view, features), (_, keys) in zip(parts, encoded, strict=True)]
    return [
        (state, stored if is_whole is None else _with_nulls(stored, is_whole))
        for (state, stored), (is_whole, _) in zip(store.read(wanted), encoded, strict=True)
    ]


def encode_rows(view: OnlineView, rows: Sequence[Mapping[str, Any]]) -> tuple[list[bool] | None, list[bytes]]:
    """Which rows have no NULL key, where None is all of them; and the encoded keys of these rows."""
    columns = [[key(row[entity], type_, entity) for row in rows] for entity, type_ in view.entities.items()]
    if not any(None in column for column in columns):
        return None, encode_keys(view.entities, columns)
    is_whole = [None not in each for each in zip(*columns, strict=True)]
    return is_whole, encode_keys(view.entities, [list(compress(column, is_whole)) for column in columns])


def _with_nulls(stored: Sequence[StoredRow | None], is_whole: Sequence[bool]) -> list[StoredRow | None]:
    rows = iter(stored)
    return [next(rows) if each else None for each in is_whole]


def key(value: Any, type_: str, entity: str) -> str | int | None:
    """An entity's key as a value of its type. A number may be a string, and a NULL of it an empty one."""
    if type_ == "string" and isinstance(value, str):
        if not value.isascii():
            _check_text(value, entity)
        return value
    if is_null(value) or (value == "" and type_ != "string"):
        return None
    if type_ != "string" and isinstance(value, str | Integral) and not isinstance(value, bool):
        value = value if isinstance(value, str) else int(value)  # of NumPy, say
        return parse_integer(value, 32 if type_ == "int32" else 64, f"entity {entity!r}")
    kind = "a string" if type_ == "string" else "an integer"
    raise BridgeError("G535", f"entity {entity!r} must be {kind}, not {repr(value)[:80]}")


def _check_text(value: str, entity: str) -> None:
    """Raises BridgeError (G535) for bytes of a command line that are no text, and for half of a surrogate pair."""
    try:
        value.encode()
    except UnicodeEncodeError:
        message = f"entity {entity!r} must be Unicode text, not {value[:80]!r}"
        raise BridgeError("G535", message, hint="no table of gemel has such a key") from None


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
    # Python refuses to read or write integers of thousands of digits.
    number = value if isinstance(value, int) else int(value) if len(value) <= 40 else limit
    if not -limit <= number < limit:
        shown = value[:80] if isinstance(value, str) else value if abs(value) < 2**200 else "the number in the request"
        message = f"{what} is an integer of {bits} bits, and {shown} is out of its range"
        raise BridgeError("G535", message, hint=f"the range is {-limit} to {limit - 1}")
    return number
