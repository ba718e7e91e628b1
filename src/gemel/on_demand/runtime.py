"""What generated Python computes with: SQL's rules for values that may be NULL.

The text of each of these is written into `definitions.py` where an expression needs it, without its annotations:
Feast runs a function from its text alone, wherever it serves. None of them raises, whatever the expression meets;
what has no value is None: NaN, what is divided by zero, an integer beyond 64 bits.
"""

import datetime as dt
import math
from typing import Any

# --- values on their way in ---------------------------------------------------------------------------------------


def whole(value: Any) -> Any:
    """An integer, also where pandas made it a fraction for lack of a NULL."""
    if value is None or value != value:
        return None
    if not -(2**63) <= value < 2**63 or int(value) != value:
        raise ValueError(f"{value!r} is no integer of 64 bits")
    return int(value)


def real(value: Any) -> Any:
    return None if value is None or value != value else float(value)


def text(value: Any) -> Any:
    return None if value is None or value != value else str(value)


def truth(value: Any) -> Any:
    return None if value is None or value != value else bool(value)


def moment(value: Any) -> Any:
    """A time in UTC, to the second, as Feast has it online; without a zone it is UTC."""
    if value is None or value != value:
        return None
    if isinstance(value, str):
        value = dt.datetime.fromisoformat(value)
    if isinstance(value, dt.datetime):
        value = value.replace(tzinfo=value.tzinfo or dt.UTC).astimezone(dt.UTC)
        return dt.datetime.fromtimestamp(math.floor(value.timestamp()), dt.UTC)
    return dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)


# --- numbers ------------------------------------------------------------------------------------------------------


def bounded(value: Any) -> Any:
    """None for what is no value: NaN, and an integer beyond 64 bits."""
    if isinstance(value, float):
        return None if value != value else value
    return value if -(2**63) <= value < 2**63 else None


def add(left: Any, right: Any) -> Any:
    return None if left is None or right is None else bounded(left + right)


def subtract(left: Any, right: Any) -> Any:
    return None if left is None or right is None else bounded(left - right)


def multiply(left: Any, right: Any) -> Any:
    return None if left is None or right is None else bounded(left * right)


def divide(left: Any, right: Any) -> Any:
    return None if left is None or not right else bounded(left / right)


def quotient(left: Any, right: Any) -> Any:
    """How often `right` fits into `left`, towards zero."""
    if left is None or not right:
        return None
    fits = abs(left) // abs(right)
    return bounded(fits if (left < 0) == (right < 0) else -fits)


def remainder(left: Any, right: Any) -> Any:
    """What is left over then, with the sign of `left`."""
    if left is None or not right:
        return None
    return abs(left) % abs(right) * (-1 if left < 0 else 1)


def absolute(value: Any) -> Any:
    return None if value is None else bounded(abs(value))


def rounded(value: Any, digits: Any) -> Any:
    """Halves away from zero."""
    if value is None:
        return None
    fraction, integral = math.modf(value * 10.0**digits)
    if abs(fraction) >= 0.5:
        integral += math.copysign(1, value)
    found = integral / 10.0**digits
    return found if math.isfinite(found) else value


def floor(value: Any) -> Any:
    return value if value is None or math.isinf(value) else float(math.floor(value))


def ceiling(value: Any) -> Any:
    return value if value is None or math.isinf(value) else float(math.ceil(value))


def least(*values: Any) -> Any:
    return min((value for value in values if value is not None), default=None)


def greatest(*values: Any) -> Any:
    return max((value for value in values if value is not None), default=None)


# --- conditions ---------------------------------------------------------------------------------------------------


def equal(left: Any, right: Any) -> Any:
    return None if left is None or right is None else left == right


def unequal(left: Any, right: Any) -> Any:
    return None if left is None or right is None else left != right


def less(left: Any, right: Any) -> Any:
    return None if left is None or right is None else left < right


def at_most(left: Any, right: Any) -> Any:
    return None if left is None or right is None else left <= right


def both(*conditions: Any) -> Any:
    """And: false if one is, else NULL if one is."""
    return False if False in conditions else None if None in conditions else True


def either(*conditions: Any) -> Any:
    """Or: true if one is, else NULL if one is."""
    return True if True in conditions else None if None in conditions else False


def opposite(condition: Any) -> Any:
    return None if condition is None else not condition


def is_null(value: Any) -> Any:
    return value is None


def coalesce(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def null_if(value: Any, other: Any) -> Any:
    return None if value == other else value


def case(*parts: Any) -> Any:
    """The value after the first condition that is true, or the last one."""
    for place in range(0, len(parts) - 1, 2):
        if parts[place]:
            return parts[place + 1]
    return parts[-1]


# --- texts --------------------------------------------------------------------------------------------------------


def joined(left: Any, right: Any) -> Any:
    return None if left is None or right is None else left + right


def concatenated(*values: Any) -> Any:
    """NULL is left out."""
    return "".join(value for value in values if value is not None)


def lower(value: Any) -> Any:
    """Letter by letter, as DuckDB has it: the length stays."""
    return None if value is None else "".join(letter.lower()[0] for letter in value)


def upper(value: Any) -> Any:
    """Letter by letter, as DuckDB has it: the length stays."""
    if value is None:
        return None
    forms = ((letter.upper(), letter.title(), letter) for letter in value.replace("ß", "ẞ"))
    return "".join(next(form for form in each if len(form) == 1) for each in forms)


def trimmed(value: Any) -> Any:
    """Without spaces at either end; other white space stays."""
    return None if value is None else value.strip(" ")


def length(value: Any) -> Any:
    return None if value is None else len(value)


def as_text(value: Any) -> Any:
    """Of an integer or a truth."""
    return None if value is None else str(value).lower()


def as_integer(value: Any) -> Any:
    """Of a fraction the nearest, halves to the even one; of a truth 1 or 0."""
    return None if value is None or math.isinf(value) else bounded(round(value))


# --- times --------------------------------------------------------------------------------------------------------


def part(value: Any, unit: Any) -> Any:
    """`hour`, or another part of a time that SQL's EXTRACT knows."""
    if value is None:
        return None
    if unit == "quarter":
        return (value.month + 2) // 3
    if unit == "week":
        return value.isocalendar()[1]
    if unit == "dayofweek":
        return value.isoweekday() % 7
    if unit == "isodow":
        return value.isoweekday()
    return value.timetuple().tm_yday if unit == "dayofyear" else getattr(value, unit)


def steps_between(first: Any, last: Any, seconds: Any) -> Any:
    """How many whole minutes, hours or days begin after the first time and up to the last."""
    if first is None or last is None:
        return None
    return int(last.timestamp()) // seconds - int(first.timestamp()) // seconds
