"""An answer as a person at a terminal wants it: in an order, and no more rows than can be looked over.

Programs get the rows as the engine gave them.
"""

import datetime as dt
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gemel.spec.fields import format_count
from gemel.spec.time import finer, is_standard
from gemel.text_tables import Rows

if TYPE_CHECKING:
    from gemel.answer import Answer
    from gemel.compiler.compiled import Column

MOST = 1_000
"""How many rows a terminal shows, unless asked for all."""


def arrange(columns: "Sequence[Column]", rows: Rows) -> Rows:
    """Rows by time, then by the first metric, the largest first, then by the other items. A total stays last."""
    roles = [column.role for column in columns]
    times = [place for place, role in enumerate(roles) if role == "time"]
    items = [place for place, role in enumerate(roles) if role in ("entity", "dimension")]
    arranged = list(rows)
    for place in reversed(items):
        arranged = _sort(arranged, place)
    if "metric" in roles:
        arranged = _sort(arranged, roles.index("metric"), descending=True)
    for place in reversed(times):
        arranged = _sort(arranged, place)
    if "total" in roles:
        arranged = _sort(arranged, roles.index("total"))
    return arranged


def count_line(shown: int, total: int) -> str:
    """What is said below a table: `16 rows`, or that there are more than it shows."""
    if shown < total:
        return f"{shown:,} of {format_count(total, 'row')}; --all shows all, --limit and --order say which"
    return format_count(total, "row")


def uncut_places(columns: "Sequence[Column]") -> frozenset[int]:
    """The places of the columns whose values make no sense when cut: times and keys."""
    return frozenset(place for place, column in enumerate(columns) if column.role in ("time", "entity"))


def with_days(answer: "Answer", rows: Rows) -> Rows:
    """Times by day and coarser as dates, and not as their midnights."""
    days = frozenset(
        place
        for place, column in enumerate(answer.described)
        if column.grain and is_standard(column.grain) and not finer(column.grain, "day")
    )
    if not days:
        return rows
    return [tuple(_day(value) if place in days else value for place, value in enumerate(row)) for row in rows]


def _day(value: Any) -> Any:
    return value.date() if isinstance(value, dt.datetime) and value.time() == dt.time() else value


def _sort(rows: list[tuple[Any, ...]], place: int, *, descending: bool = False) -> list[tuple[Any, ...]]:
    """Rows by one column, those without a value last. Values that have no order leave the rows as they are."""
    present = [row for row in rows if not _is_missing(row[place])]
    missing = [row for row in rows if _is_missing(row[place])]
    try:
        present.sort(key=lambda row: row[place], reverse=descending)
    except TypeError:
        return rows
    return present + missing


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
