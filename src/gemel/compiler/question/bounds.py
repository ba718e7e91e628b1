"""The bounds of a query's time, which may be a period (`2024-06`) or relative to today (`7 days ago`)."""

import datetime as dt
import re

from gemel.errors import QueryError
from gemel.spec.time import Window, floor, parse_window, step
from gemel.spec.zones import UTC, find_zone

PERIODS = {r"\d{4}": "year", r"\d{4}-\d\d": "month", r"\d{4}-?W\d\d": "week"}
"""How a period is written, apart from a day."""
FROM_TODAY = ("day", "week", "month", "quarter", "year")


def first_moment(value: str | dt.date | None, *, name: str = "start", timezone: str = UTC) -> dt.datetime | None:
    """The first moment of a start time, on the clocks of `timezone`. Raises QueryError (G302), which has the `name`."""
    return None if value is None else _moments(value, name, timezone)[0]


def last_moment(value: str | dt.date | None, *, timezone: str = UTC) -> dt.datetime | None:
    """The last moment of an end time, on the clocks of `timezone`: of a day, its last microsecond."""
    return None if value is None else _moments(value, "end", timezone)[1]


def is_relative(text: str) -> bool:
    """Whether a bound depends on the day on which it is read."""
    return _back(text.strip()) is not None


def _moments(value: str | dt.date, name: str, timezone: str) -> tuple[dt.datetime, dt.datetime]:
    match value:
        case str():
            text = value.strip()
            return _period(text, timezone) or _written(text, name, timezone)
        case dt.datetime():
            moment = _on_clocks(value, name, timezone)
            return moment, moment
        case dt.date():
            return _whole(dt.datetime(value.year, value.month, value.day), "day")
        case _:
            raise _unreadable(name, repr(value))


def _period(text: str, timezone: str) -> tuple[dt.datetime, dt.datetime] | None:
    """A period, or a day that is counted from today; None for any other text."""
    grain = next((grain for form, grain in PERIODS.items() if re.fullmatch(form, text, re.ASCII)), None)
    try:
        if grain:
            first = dt.date.fromisoformat(text if grain == "week" else f"{text}-01-01"[:10])
            return _whole(dt.datetime.combine(first, dt.time.min), grain)
    except ValueError:
        return None
    back = _back(text)
    if back is None:
        return None
    day = dt.datetime.now(_zone(timezone)).replace(tzinfo=None)
    return _whole(floor(step(day, back.unit, -back.count), "day"), "day")


def _back(text: str) -> Window | None:
    """`7 days ago`, or `today`."""
    if text.lower() == "today":
        return Window(0, "day")
    count, _, ago = text.lower().rpartition(" ")
    window = parse_window(count[:40]) if ago == "ago" else None
    return window if window and window.unit in FROM_TODAY else None


def _whole(start: dt.datetime, grain: str) -> tuple[dt.datetime, dt.datetime]:
    last = step(start, grain, 1)
    return start, last if last == dt.datetime.max else last - dt.timedelta(microseconds=1)


def _written(text: str, name: str, timezone: str) -> tuple[dt.datetime, dt.datetime]:
    """A day or a moment in ISO 8601."""
    try:
        parsed: dt.date = dt.date.fromisoformat(text) if len(text) <= 10 else dt.datetime.fromisoformat(text)
    except ValueError:
        raise _unreadable(name, text) from None
    return _moments(parsed, name, timezone)


def _on_clocks(moment: dt.datetime, name: str, timezone: str) -> dt.datetime:
    """A moment with an offset is that instant; without one it is in the time zone already.

    The hour that clocks show twice has no name of its own on them, so an instant in it is refused.
    """
    if moment.tzinfo is None:
        return moment
    zone = _zone(timezone)
    try:
        shown = moment.astimezone(zone)
        twice = shown.replace(fold=0).utcoffset() != shown.replace(fold=1).utcoffset()
    except OverflowError:  # before the year 1 or after 9999, on these clocks
        raise _unreadable(name, str(moment)) from None
    if twice:
        message = f"the {name} time {moment} is in an hour that the clocks of {timezone} show twice"
        raise QueryError("G302", message, hint="name a moment before or after that hour")
    return shown.replace(tzinfo=None, fold=0)


def _zone(timezone: str) -> dt.tzinfo:
    zone = find_zone(timezone)
    if zone is None:
        message = f"no time zone named {timezone[:60]!r}, in which the times of this query are"
        raise QueryError("G302", message, hint="set `vars: gemel: timezone:` in dbt_project.yml, such as Europe/Berlin")
    return zone


def _unreadable(name: str, text: str) -> QueryError:
    hint = "write 2013-01-31, 2013-01, 2013-01-31T12:00+02:00 or `7 days ago`"
    return QueryError("G302", f"cannot read the {name} time {text[:60]!r}", hint=hint)
