"""Rows as lines of text: a table for a terminal, aware of wide characters, a Markdown or an HTML table."""

import datetime as dt
import json
import math
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from decimal import Decimal
from html import escape
from typing import Any

DECIMALS = 4  # the default number of decimals in a table
NARROWEST = 8  # a column of a table is not squeezed below this many characters

Rows = Sequence[tuple[Any, ...]]


def table(
    columns: Sequence[str],
    rows: Rows,
    *,
    decimals: int | None = None,
    width: int | None = None,
    uncut: Collection[int] = (),
) -> tuple[list[str], str | None]:
    """The lines of a table no wider than `width`, and what was left out to get there (None: nothing). Texts are cut,
    but for those of the columns at the places `uncut`; times are not."""
    cells, numeric = _texts(columns, rows, decimals)
    widths = [max(_width(line[i]) for line in cells) for i in range(len(columns))]
    fixed = [numeric[i] or i in uncut or _is_time(row[i] for row in rows) for i in range(len(columns))]
    shown, cut = _fit(widths, fixed, width)
    lines = ["  ".join(_padded(line[i], w, numeric[i]) for i, w in enumerate(shown)).rstrip() for line in cells]
    lines.insert(1, "  ".join("-" * w for w in shown))
    left_out = []
    if len(shown) < len(columns):
        hidden = columns[len(shown) :]
        left_out.append(f"{len(hidden)} {'column' if len(hidden) == 1 else 'columns'} left out ({', '.join(hidden)})")
    if cut:
        left_out.append("long texts cut")
    return lines, " and ".join(left_out) or None


def markdown(columns: Sequence[str], rows: Rows, *, decimals: int | None = None) -> Iterator[str]:
    """The lines of a Markdown table, numbers to the right."""
    cells, numeric = _texts(columns, rows, decimals)
    for number, line in enumerate(cells):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |"
        if number == 0:
            yield "| " + " | ".join("--:" if right else "---" for right in numeric) + " |"


def html(columns: Sequence[str], rows: Rows, *, note: str = "") -> str:
    """An HTML table, numbers to the right, with a note below it."""
    cells, numeric = _texts(columns, rows, None)
    aligned = ['style="text-align: right"' if right else 'style="text-align: left"' for right in numeric]

    def line(values: list[str], tag: str) -> str:
        marked = (f"<{tag} {style}>{escape(value)}</{tag}>" for value, style in zip(values, aligned, strict=True))
        return f"<tr>{''.join(marked)}</tr>"

    head, *body = cells
    table_rows = "\n".join(line(values, "td") for values in body)
    return (
        f"<table>\n<thead>{line(head, 'th')}</thead>\n<tbody>\n{table_rows}\n</tbody>\n</table>"
        f"{f'<p>{escape(note)}</p>' if note else ''}"
    )


# --- cells ----------------------------------------------------------------------------------------------------


def _texts(columns: Sequence[str], rows: Rows, decimals: int | None) -> tuple[list[list[str]], list[bool]]:
    """The header and the rows as texts, and which columns are numbers."""
    by_column = [[row[i] for row in rows] for i in range(len(columns))]
    numeric = [_is_numeric(values) for values in by_column]
    shown = [_column(values, decimals) for values in by_column]
    return [[_visible(name) for name in columns], *(list(line) for line in zip(*shown, strict=True))], numeric


def _column(values: list[Any], decimals: int | None) -> list[str]:
    """One column's values alike: as many decimals, and times without 00:00 where all are midnights.

    A lone value is shown in full, unless `decimals` says otherwise; a list of them is to be looked over.
    """
    present = [value for value in values if value is not None]
    if present and all(isinstance(value, dt.datetime) for value in present):
        midnights = all(value.time() == dt.time() for value in present)
        return ["NULL" if v is None else str(v.date() if midnights else v) for v in values]
    fractions = [v for v in present if isinstance(v, float | Decimal) and math.isfinite(v)]
    if fractions and _is_numeric(values) and (len(values) > 1 or decimals is not None):
        places = decimals if decimals is not None else _places(fractions)
        return ["NULL" if v is None else f"{v:.{places}f}" if math.isfinite(v) else str(v) for v in values]
    return ["NULL" if value is None else _visible(str(format_value(value))) for value in values]


def _places(values: list[Any]) -> int:
    """The fewest decimals that show all of the values, up to DECIMALS; more where one would look like zero."""
    for places in range(DECIMALS + 1):
        if all(round(value, places) == value for value in values):
            return places
    smallest = min(abs(value) for value in values if value)
    return max(DECIMALS, min(15, 1 - math.floor(math.log10(smallest))) if smallest < 10**-DECIMALS else 0)


def _is_numeric(values: Iterable[Any]) -> bool:
    present = [value for value in values if value is not None]
    return bool(present) and all(
        isinstance(value, int | float | Decimal) and not isinstance(value, bool) for value in present
    )


def _is_time(values: Iterable[Any]) -> bool:
    present = [value for value in values if value is not None]
    return bool(present) and all(isinstance(value, dt.date | dt.time) for value in present)


def format_value(value: Any) -> Any:
    """A value as CSV and tables write it."""
    match value:
        case bool():
            return "true" if value else "false"
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case bytes():
            return value.hex()
        case list() | dict():
            return json.dumps(value, default=str, ensure_ascii=False)
        case _:
            return value


def _visible(text: str) -> str:
    """Line breaks and control characters spelled out: a value must not move the cursor of a terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


# --- widths ---------------------------------------------------------------------------------------------------


def _fit(widths: list[int], fixed: list[bool], width: int | None) -> tuple[list[int], bool]:
    """Column widths for a terminal: the widest texts shrink first, then columns go, from the right."""
    shown = list(widths)
    cut = False
    while width is not None and sum(shown) + 2 * (len(shown) - 1) > width:
        shrinkable = [i for i, w in enumerate(shown) if not fixed[i] and w > NARROWEST]
        if shrinkable:
            widest = max(shrinkable, key=lambda i: shown[i])
            excess = sum(shown) + 2 * (len(shown) - 1) - width
            shown[widest] = max(NARROWEST, shown[widest] - min(excess, max(1, shown[widest] // 4)))
            cut = True
        elif len(shown) > 1:
            shown.pop()
        else:
            break
    return shown, cut


def _padded(text: str, width: int, right: bool) -> str:
    own = _width(text)
    if own > width:
        while own > width - 1:
            text = text[:-1]
            own = _width(text)
        text, own = f"{text}…", own + 1
    space = " " * (width - own)
    return space + text if right else text + space


def _width(text: str) -> int:
    """Columns of a terminal: two for a wide character, none for a combining one."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )
