"""Time zones by their names."""

import datetime as dt

UTC = "UTC"
"""The zone of a project that names none."""

_NAMES_OF_UTC = frozenset({"UTC", "ETC/UTC", "UCT", "ETC/UCT", "ZULU", "ETC/ZULU"})


def find_zone(name: str) -> dt.tzinfo | None:
    """`Europe/Berlin`, in any case; None if there is no such zone."""
    if name.upper() in _NAMES_OF_UTC:
        return dt.UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        named = next((each for each in available_timezones() if each.lower() == name.lower()), None)
    return ZoneInfo(named) if named else None
