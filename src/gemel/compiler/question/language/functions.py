"""The table of functions that asked text may call, by name."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType

from gemel.compiler.question.language.number_functions import CONDITIONAL, NUMBER
from gemel.compiler.question.language.signatures import CASTS, Function, read_signature
from gemel.compiler.question.language.text_functions import JSONS, TEXTS
from gemel.compiler.question.language.time_functions import TIME
from gemel.errors import ProjectError
from gemel.spec.functions import WarehouseFunction

FUNCTIONS: tuple[Function, ...] = (*TEXTS, *NUMBER, *CONDITIONAL, *JSONS, *TIME)
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
_ZONE = "times are on the clocks of `vars: gemel: timezone` in dbt_project.yml"
_BOUND = "the length of its result is not bounded"

_INSTEAD: dict[str, str] = {
    **dict.fromkeys(("sum", "count", "avg", "min", "max", "median", "mean", "any_value", "string_agg"), _AGGREGATE),
    **dict.fromkeys(("dayofweek", "weekday", "day_of_week"), _DAY),
    "log": _LOG,
    **dict.fromkeys(("repeat", "format", "list_resize", "space", "printf"), _BOUND),
    "levenshtein": "its cost grows with the product of the lengths",
    "date_format": "write strftime(x, '%Y-%m') or to_char(x, 'YYYY-MM')",
    "try_cast": "write cast(x as type)",
    **dict.fromkeys(("timezone", "convert_timezone", "from_utc_timestamp"), _ZONE),
    "random": "an answer must be the same each time",
}
"""Hints for functions that are left out."""

LISTED = "`gemel functions` lists the functions that can be called"


def hint_for(name: str, names: Collection[str]) -> str:
    """What to write in place of a function that is not in the table."""
    if name in _INSTEAD:
        return _INSTEAD[name]
    plain = re.sub(r"[^a-z0-9]", "", name)
    near = get_close_matches(name[:60], names, n=3, cutoff=0.75)
    near += [each for each in names if each.replace("_", "") == plain and each not in near]
    return f"did you mean {' or '.join(near)}? {LISTED}" if near else LISTED


PROJECT = "of the project"
"""The group of the functions that a project adds."""

Own = Mapping[str, tuple[Function, ...]]
"""The functions that a project adds to the table, by name."""


def own_functions(declared: Sequence[WarehouseFunction]) -> tuple[Function, ...]:
    """The warehouse functions that a project names, as rows of the table. Raises ProjectError (G604)."""
    return tuple(map(_own_function, declared))


def _own_function(declared: WarehouseFunction) -> Function:
    try:
        name, parameters, result = read_signature(declared.signature)
        if name != name.lower() or name in BY_NAME:
            raise ValueError(f"{name!r} must be in lower case and no function of `gemel functions`")
        if wrong := [each.kind for each in parameters if each.repeated or each.kind not in {*CASTS, "any"}]:
            raise ValueError(f"a parameter of kind {wrong[0]!r} is not for functions of the warehouse")
        calls = declared.calls or name
        if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*){0,2}", calls, re.ASCII):
            raise ValueError(f"{calls!r} is not the name of a function")
    except ValueError as error:
        hint = "such as `initials(value text) -> text`; docs/functions.md lists the types"
        raise ProjectError("G604", f"`vars: gemel: functions`: {error}", hint=hint, place=declared.place) from None
    meaning = declared.description or "A function of the warehouse."
    return Function((name,), parameters, result, meaning, PROJECT, own=calls)
