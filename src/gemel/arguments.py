"""The arguments of a caller in Python, whom no command line has checked. All errors are QueryError (G343)."""

import datetime as dt
from collections.abc import Iterable, Mapping

from gemel.errors import QueryError


def require_text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise _refusal(what, "a text", value)
    return value


def require_texts(value: object, what: str) -> tuple[str, ...]:
    """A single text is a list of one: `metrics="revenue"` would otherwise be seven metrics of one letter."""
    if isinstance(value, str):
        return (value,)
    return tuple(require_text(item, what) for item in require_items(value, what))


def require_items(value: object, what: str, kind: str = "texts") -> Iterable[object]:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise _refusal(what, f"a list of {kind}", value)
    return value


def require_times(value: object, what: str) -> tuple[dt.datetime, ...]:
    return tuple(require_time(item, what) for item in require_items(value, what, "datetimes"))


def require_time(value: object, what: str) -> dt.datetime:
    if not isinstance(value, dt.datetime):
        raise _refusal(what, "a datetime", value)
    return value


def require_count(value: object, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _refusal(what, "a whole number from 1", value)
    return value


def _refusal(what: str, kind: str, value: object) -> QueryError:
    shown = "None" if value is None else f"{type(value).__name__}: {value!r}"
    return QueryError("G343", f"{what} must be {kind}, not {shown}"[:200])
