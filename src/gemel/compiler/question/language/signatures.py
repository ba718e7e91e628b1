"""A function that asked text may call: its names, typed parameters and meaning, and its spelling on each engine."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gemel.errors import QueryError

Spelling = str | Mapping[str, str]
"""SQL over the names of the parameters: `"LOWER(value)"`; one for each unit if the function has a `unit`."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """`count` of kind `whole`. A `repeated` one takes one or more arguments."""

    name: str
    kind: str
    repeated: bool = False

    def __str__(self) -> str:
        return f"{self.name} {self.kind}{', …' if self.repeated else ''}"


@dataclass(frozen=True, slots=True)
class Function:
    """One row of the table of functions.

    `names` are those that users of several engines know; the first is ours. `meaning` says what it does with NULL
    and with edge values. `duckdb` and `postgres` are proven equal by tests; `elsewhere` is in DuckDB's words, which
    sqlglot translates for every other engine; without it the function is refused there. `examples` are asked texts
    that are true on each engine.

    `own` is the name of a warehouse function that the project names in dbt_project.yml, which is written as it is.
    """

    names: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    result: str
    meaning: str
    group: str
    duckdb: Spelling = ""
    postgres: Spelling = ""
    elsewhere: Spelling | None = None
    examples: tuple[str, ...] = ()
    own: str | None = None

    @property
    def name(self) -> str:
        return self.names[0]

    @property
    def signature(self) -> str:
        """`left(value text, count whole) -> text`"""
        return f"{self.name}({', '.join(map(str, self.parameters))}) -> {self.result}"

    def takes(self, count: int) -> bool:
        """Whether it can be called with this many arguments."""
        least = len(self.parameters)
        return count >= least if any(each.repeated for each in self.parameters) else count == least


_SIGNATURE = re.compile(r"(?P<name>\w+)\((?P<inside>.*)\) -> (?P<result>\w+)")
_PARAMETER = re.compile(r"(?P<name>\w+) (?P<kind>\w+)(?P<more>, …)?")


def read_signature(text: str) -> tuple[str, tuple[Parameter, ...], str]:
    """`"left(value text, count whole) -> text"` as its parts. Raises ValueError."""
    match = _SIGNATURE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a signature such as left(value text, count whole) -> text")
    parameters = []
    for part in re.split(r", (?!…)", match["inside"]) if match["inside"] else ():
        matched = _PARAMETER.fullmatch(part)
        if matched is None or matched["kind"] not in KINDS:
            raise ValueError(f"{part!r} in {text!r} is not a name and one of {', '.join(KINDS)}")
        parameters.append(Parameter(matched["name"], matched["kind"], bool(matched["more"])))
    if match["result"] not in RESULTS:
        raise ValueError(f"the result of {text!r} must be one of {', '.join(RESULTS)}")
    return match["name"], tuple(parameters), match["result"]


def row(
    signature: str,
    meaning: str,
    duckdb: Spelling,
    postgres: Spelling | None = None,
    *,
    group: str,
    also: str = "",
    elsewhere: Spelling | None = None,
    examples: tuple[str, ...] = (),
) -> Function:
    """A row of the table. PostgreSQL has DuckDB's spelling unless it is given. `also` are more names."""
    name, parameters, result = read_signature(signature)
    return Function(
        (name, *also.split()),
        parameters,
        result,
        meaning,
        group,
        duckdb,
        duckdb if postgres is None else postgres,
        elsewhere,
        examples,
    )


def everywhere(
    signature: str, meaning: str, spelling: str, *, group: str, also: str = "", examples: tuple[str, ...] = ()
) -> Function:
    """A function that every engine spells in the same way."""
    return row(signature, meaning, spelling, group=group, also=also, elsewhere=spelling, examples=examples)


TYPES = ("text", "number", "whole", "boolean", "date", "timestamp", "interval")
"""The types of values. A reference's type is known only to the warehouse."""
RESULTS = (*TYPES, "any")
"""What a function can return. `any` is the type of the first argument whose type is known."""

KINDS: dict[str, str] = {
    "any": "any value",
    "text": "a text",
    "number": "a number",
    "whole": "a whole number",
    "boolean": "true or false",
    "time": "a date or a timestamp; one with a zone is read on the clocks of the project's time zone",
    "interval": "an interval, such as interval '3 days'",
    "json": "a text or a column with a JSON document",
    "unit": "a unit in quotes, such as 'month'",
    "position": "a whole number, 1 for the first; it cannot be written as less than 1",
    "count": "a whole number from 0 to 1,000, as a literal",
    "ordinal": "a whole number from 1 to 1,000, as a literal",
    "digits": "a whole number from 0 to 10, as a literal",
    "fill": "a text in quotes of 1 to 1,000 characters",
    "replacement": "a text in quotes of at most 1,000 characters",
    "format": "a format in quotes, of %Y %m %d %H %M %S %j %y %B %b %A %a %% and plain text",
    "picture": "a format in quotes, of YYYY MM DD HH24 MI SS DDD YY Mon and separators",
    "path": "a path in quotes, such as '$.address.city' or '$.items[0]'",
    "pattern": "a regular expression in quotes: literals . [] * + ? {} | () ^ $ \\d \\w \\s",
}
"""What a parameter takes. The literals among them are checked and rewritten before the engine sees them."""

UNITS = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")
PARTS = (*UNITS, "isoyear", "isodow", "dow", "doy", "epoch")

_ACCEPTED: dict[str, tuple[str, ...]] = {
    "any": TYPES,
    "text": ("text",),
    "json": ("text",),
    "number": ("number", "whole"),
    "whole": ("whole",),
    "position": ("whole",),
    "boolean": ("boolean",),
    "time": ("date", "timestamp"),
    "interval": ("interval",),
}

CASTS: dict[str, str] = {
    "text": "TEXT",
    "json": "TEXT",
    "number": "DOUBLE",
    "whole": "BIGINT",
    "position": "BIGINT",
    "boolean": "BOOLEAN",
    "time": "TIMESTAMP",
    "interval": "INTERVAL",
}
"""The type of a NULL that is given to a parameter: an engine cannot choose a function by a NULL without a type."""


def accepts(kind: str, type: str | None) -> bool:
    """Whether a parameter takes a value of a type; None is a type that only the warehouse knows."""
    return type is None or type in _ACCEPTED.get(kind, ())


def refuse_function(text: str, *, hint: str) -> QueryError:
    """The one refusal of asked text that calls what it may not, or calls it wrongly."""
    return QueryError("G340", text, hint=hint)
