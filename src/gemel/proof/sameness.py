"""When two values of one feature are the same number, wherever they come from."""

import datetime as dt
import math
from decimal import Decimal
from typing import Any

from gemel.proof.report import Kind

RELATIVE = {"float64": 1e-9, "float32": 1e-6}
"""The last digits of a sum of fractions depend on the order of addition: the relative difference allowed."""
ABSOLUTE = 1e-9


def kind(right: Any, stored: Any) -> Kind:
    return "missing" if stored is None else "extra" if right is None else "different"


def same(left: Any, right: Any, type_: str) -> bool:
    if left is None or right is None:
        return left is right
    if type_ in RELATIVE:
        a, b = float(left), float(right)
        return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=RELATIVE[type_], abs_tol=ABSOLUTE)
    if type_ == "timestamp":
        return to_moment(left) == to_moment(right)
    if type_ == "string":
        return str(left) == str(right)
    return bool(Decimal(left) == Decimal(right)) if isinstance(left, Decimal) else bool(left == right)


def to_moment(value: Any) -> dt.datetime:
    """In UTC, to the second, which is what Feast keeps online."""
    if isinstance(value, dt.datetime):
        return (value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value).replace(microsecond=0)
    return dt.datetime.combine(value, dt.time()) if isinstance(value, dt.date) else dt.datetime.max
