"""What a question may cost, and how long it waits for its turn: `vars: gemel: limits:` of dbt_project.yml."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gemel.errors import did_you_mean


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one project. None is no limit.

    `time` (seconds) and `rows` are of one question. `memory` and `disk` (bytes, disk for what does not fit into memory)
    are of the process on DuckDB; on a server they are of one step and of one session of a question. `at_once` is how
    many questions run at the same time. `wait` (seconds) is how long a question or a build waits for its turn.
    """

    time: float | None = None
    rows: int | None = None
    memory: int | None = None
    disk: int | None = None
    at_once: int = 8
    wait: float = 600


NO_LIMITS = Limits()


def parse_limits(written: Mapping[str, Any]) -> Limits:
    """`{"time": "30s", "memory": "2GB", "rows": 10000}`. Raises ValueError with a message about one of them."""
    values: dict[str, Any] = {}
    for name, value in written.items():
        if name not in _PARSERS:
            hint = did_you_mean(name, _PARSERS) or f"there are {', '.join(_PARSERS)}"
            raise ValueError(f"`{name}` is not a limit: {hint}")
        try:
            values[name] = _PARSERS[name](value)
        except ValueError as error:
            raise ValueError(f"`{name}` {error}") from None
    return Limits(**values)


def parse_seconds(value: object) -> float:
    """`30`, `"30s"`, `"1.5 minutes"`, `"2h"`: seconds. Raises ValueError."""
    seconds = _parse(value, _SECONDS)
    if seconds is None:
        raise ValueError(f"must be a duration such as 30s, 5m or 1h, not {value!r}")
    return seconds


def _parse_bytes(value: object) -> int:
    size = _parse(value, _BYTES)
    if size is None or size < 2**20:
        raise ValueError(f"must be a size of at least 1MB, such as 500MB or 2GB, not {value!r}")
    return int(size)


def _parse_number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"must be a whole number above zero, not {value!r}")
    return value


def _parse(value: object, units: Mapping[str, float]) -> float | None:
    """A number with a unit; None if it is not one, or not above zero."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(value).lower()) if value is not True else None
    unit = units.get(match[2]) if match else None
    return (float(match[1]) * unit or None) if match and unit else None


_SECONDS = {
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1),
    "ms": 0.001,
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hour", "hours"), 3600),
}
_BYTES = {"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_PARSERS: dict[str, Callable[[object], Any]] = {
    "time": parse_seconds,
    "rows": _parse_number,
    "memory": _parse_bytes,
    "disk": _parse_bytes,
    "at_once": _parse_number,
    "wait": parse_seconds,
}
