"""Grains, date parts and windows, which definitions and queries share."""

import datetime as dt
import re
from calendar import monthrange
from dataclasses import dataclass

GRAINS = (
    "nanosecond",
    "microsecond",
    "millisecond",
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "quarter",
    "year",
)
"""The standard grains, finest first. Any other grain is a custom one, of a time spine."""

DATE_PARTS = {"year": "year", "quarter": "quarter", "month": "month", "day": "day", "dow": "day", "doy": "day"}
"""The date parts, each with the coarsest grain that contains it."""


@dataclass(frozen=True, slots=True)
class Window:
    """How far to look back from a moment: `7 day`. The unit is a standard grain or a custom one."""

    count: int
    unit: str

    def __str__(self) -> str:
        return f"{self.count} {self.unit}{'' if self.count == 1 else 's'}"


def parse_window(text: str) -> Window | None:
    """`"7 days"` -> `Window(7, "day")`; None if the text is not a count and a unit."""
    match = re.fullmatch(r"\s*(\d+)\s+([A-Za-z_]\w*)\s*", text)
    if match is None:
        return None
    return Window(int(match[1]), singular(match[2].lower()))


SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
"""The units of constant length; a month is not one of them."""


def seconds(window: Window) -> int:
    """The length of a window whose unit is in SECONDS."""
    return window.count * SECONDS[window.unit]


MONTHS = {"month": 1, "quarter": 3, "year": 12}
"""The units that consist of whole months."""

_NANOSECONDS = {"nanosecond": 1, "microsecond": 1_000, "millisecond": 1_000_000} | {
    unit: length * 1_000_000_000 for unit, length in SECONDS.items()
}


def lands(window: Window, grain: str) -> bool:
    """Whether a window leads from the start of any period of a standard grain to the start of another one: 7 days for
    weeks, 12 months for years, but not 1 month for weeks."""
    if grain in MONTHS:
        return window.unit in MONTHS and window.count * MONTHS[window.unit] % MONTHS[grain] == 0
    if window.unit in MONTHS:
        return grain != "week"
    return window.count * _NANOSECONDS[window.unit] % _NANOSECONDS[grain] == 0


def duration(window: Window | None) -> dt.timedelta:
    """The length of a window as a timedelta; zero without a window."""
    return dt.timedelta(seconds=seconds(window)) if window else dt.timedelta()


LETTERS = {
    **{"nanosecond": "ns", "microsecond": "us", "millisecond": "ms", "second": "s", "minute": "min", "hour": "h"},
    **{"day": "d", "week": "w", "month": "mo", "quarter": "q", "year": "y"},
}
"""The abbreviation of a unit at the end of a name: `flights_7d`."""


def windowed_name(metric: str, window: Window | None) -> str:
    """`("late_rate", 7 day)` -> `late_rate_7d`; all time is `late_rate_all`."""
    return f"{metric}_all" if window is None else f"{metric}_{window.count}{LETTERS.get(window.unit, window.unit)}"


def singular(unit: str) -> str:
    """`days` -> `day`, for standard grains only: the name of a custom grain may end in s."""
    return unit[:-1] if unit.endswith("s") and unit[:-1] in GRAINS else unit


def is_standard(grain: str) -> bool:
    return grain in GRAINS


def finer(left: str, right: str) -> bool:
    """Whether standard grain `left` is strictly finer than `right`: `day` is finer than `month`."""
    return GRAINS.index(left) < GRAINS.index(right)


def coarsest(grains: list[str]) -> str:
    return max(grains, key=GRAINS.index)


def floor(moment: dt.datetime, grain: str) -> dt.datetime:
    """The start of the period that contains a moment; weeks start on Monday."""
    match grain:
        case "year":
            return dt.datetime(moment.year, 1, 1)
        case "quarter":
            return dt.datetime(moment.year, 3 * ((moment.month - 1) // 3) + 1, 1)
        case "month":
            return dt.datetime(moment.year, moment.month, 1)
        case "week":
            day = dt.datetime(moment.year, moment.month, moment.day)
            return day - dt.timedelta(days=day.weekday())
        case "day":
            return dt.datetime(moment.year, moment.month, moment.day)
        case "hour":
            return moment.replace(minute=0, second=0, microsecond=0)
        case "minute":
            return moment.replace(second=0, microsecond=0)
        case "second":
            return moment.replace(microsecond=0)
        case "millisecond":
            return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
        case _:
            return moment


def step(moment: dt.datetime, grain: str, count: int) -> dt.datetime:
    """`count` grains later (earlier, if negative). A month later than Jan 31 is the last of February."""
    months = {"year": 12, "quarter": 3, "month": 1}.get(grain)
    try:
        if months is not None:
            year, month = divmod(moment.year * 12 + moment.month - 1 + months * count, 12)
            return moment.replace(year=year, month=month + 1, day=min(moment.day, monthrange(year, month + 1)[1]))
        units = {"week": "weeks", "day": "days", "hour": "hours", "minute": "minutes", "second": "seconds"}
        if grain in units:
            return moment + dt.timedelta(**{units[grain]: count})
        return moment + dt.timedelta(microseconds=1000 * count if grain == "millisecond" else count)
    except (OverflowError, ValueError):
        return dt.datetime.max if count > 0 else dt.datetime.min
