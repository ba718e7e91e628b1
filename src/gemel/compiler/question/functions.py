"""The table of functions that asked text may call, by name."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType

from gemel.compiler.question.signatures import Function
from gemel.compiler.question.times import TIME
from gemel.compiler.question.values import VALUES

FUNCTIONS: tuple[Function, ...] = (*VALUES, *TIME)
"""Every row, in the order in which `gemel functions` lists them."""


def by_name(functions: Iterable[Function]) -> Mapping[str, tuple[Function, ...]]:
    """The rows of each name. Rows of one name differ in their parameters."""
    rows: defaultdict[str, list[Function]] = defaultdict(list)
    for function in functions:
        for name in function.names:
            rows[name].append(function)
    return MappingProxyType({name: tuple(each) for name, each in rows.items()})


BY_NAME = by_name(FUNCTIONS)

_AGGREGATE = "an aggregate computes over many rows; filter a metric's result with --having, by its name"
_DAY = "engines number the days differently: isodow(x) is 1 for Monday, date_part('dow', x) is 0 for Sunday"
_LOG = "engines differ in its base: write ln(x), log10(x) or log2(x)"
_BOUND = "the length of its result is not bounded"

_INSTEAD: dict[str, str] = {
    **dict.fromkeys(("sum", "count", "avg", "min", "max", "median", "mean", "any_value", "string_agg"), _AGGREGATE),
    **dict.fromkeys(("dayofweek", "weekday", "day_of_week"), _DAY),
    "log": _LOG,
    **dict.fromkeys(("repeat", "format", "list_resize", "space", "printf"), _BOUND),
    "levenshtein": "its cost grows with the product of the lengths",
    "date_format": "write strftime(x, '%Y-%m') or to_char(x, 'YYYY-MM')",
    "try_cast": "write cast(x as type)",
    "timezone": "write from_utc_timestamp(x, 'Europe/Berlin')",
    "random": "an answer must be the same each time",
}
"""Hints for functions that are left out."""

LISTED = "`gemel functions` lists the functions that can be called"


def hint_for(name: str, known: Mapping[str, object]) -> str:
    """What to write in place of a function that is not in the table."""
    if name in _INSTEAD:
        return _INSTEAD[name]
    plain = re.sub(r"[^a-z0-9]", "", name)
    near = get_close_matches(name[:60], known, n=3, cutoff=0.75)
    near += [each for each in known if each.replace("_", "") == plain and each not in near]
    return f"did you mean {' or '.join(near)}? {LISTED}" if near else LISTED
