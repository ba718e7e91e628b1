"""Values as JSON text. Decimals keep all their digits, which Python's `json` would lose in a float."""

import json
import math
from decimal import Decimal
from typing import Any

from gemel.text_tables import format_value


def json_text(value: Any, *, indent: int | None = None) -> str:
    """`{"revenue": 12345678901234567.89, "rate": null}`. NaN and infinity, which JSON does not have, are null.

    `indent` puts each item on a line of its own, like `json.dumps`. Dates and bytes are the texts that CSV has.
    """
    return _write(value, "" if indent is None else " " * indent, "\n" if indent is not None else "")


def _write(value: Any, step: str, line: str) -> str:
    match value:
        case Decimal() if value.is_finite():
            digits = format(value, "f")
            return digits.rstrip("0").rstrip(".") if "." in digits else digits
        case float() | Decimal() if not math.isfinite(value):
            return "null"
        case None | bool() | int() | float() | str():
            return json.dumps(value, ensure_ascii=False)
        case list() | tuple():
            return _bracketed("[]", [_write(each, step, line + step) for each in value], step, line)
        case dict():
            items = [
                f"{json.dumps(str(key), ensure_ascii=False)}: {_write(each, step, line + step)}"
                for key, each in value.items()
            ]
            return _bracketed("{}", items, step, line)
        case _:
            return json.dumps(str(format_value(value)), ensure_ascii=False)


def _bracketed(brackets: str, items: list[str], step: str, line: str) -> str:
    first, last = brackets[0], brackets[1]
    if not line or not items:
        return first + ", ".join(items) + last
    return first + line + step + f",{line}{step}".join(items) + line + last
