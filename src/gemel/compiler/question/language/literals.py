"""Arguments that must be literals: each is checked, and written as an engine expects it."""

import datetime as dt
import re
from collections.abc import Callable

from sqlglot import exp

from gemel.compiler.question.language.signatures import PARTS, UNITS
from gemel.engines.postgres import DIALECT as POSTGRES

LONGEST = 1_000


class Unfit(ValueError):
    """Why an argument cannot be used."""


def read_literal(kind: str, node: exp.Expr, dialect: str) -> exp.Expr:
    """An argument of a kind that must be a literal, as a literal for the engine. Raises Unfit."""
    return _READERS[kind](node, dialect)


def must_be_literal(kind: str) -> bool:
    return kind in _READERS


def read_unit(node: exp.Expr, *, parts: bool) -> str:
    """A unit such as `'Months'` as `month`. Raises Unfit."""
    written = node.name if isinstance(node, exp.Var | exp.Identifier) else _text(node)
    allowed = PARTS if parts else UNITS
    for unit in (written.lower(), written.lower().removesuffix("s")):
        if unit in allowed:
            return unit
    raise Unfit(f"there is no unit {written[:40]!r}; it must be one of {', '.join(allowed)}")


def _text(node: exp.Expr) -> str:
    if isinstance(node, exp.Literal) and node.is_string:
        return str(node.this)
    raise Unfit("it must be a text in quotes")


def _filled(node: exp.Expr, _: str) -> exp.Expr:
    if not 1 <= len(_text(node)) <= LONGEST:
        raise Unfit(f"it must have 1 to {LONGEST:,} characters")
    return node.copy()


def _replacement(node: exp.Expr, _: str) -> exp.Expr:
    if len(_text(node)) > LONGEST:
        raise Unfit(f"it must have at most {LONGEST:,} characters")
    return node.copy()


def _whole(least: int, most: int) -> Callable[[exp.Expr, str], exp.Expr]:
    def read(node: exp.Expr, _: str) -> exp.Expr:
        written = node.name if isinstance(node, exp.Literal) and not node.is_string else ""
        if not written.isascii() or not written.isdigit() or len(written) > 6 or not least <= int(written) <= most:
            raise Unfit(f"it must be a whole number from {least} to {most:,}, written as a literal")
        return exp.Literal.number(int(written))

    return read


_STEP = re.compile(r"""\.([A-Za-z_]\w*)|\.?\["([^"\\]+)"\]|\.?\['([^'\\]+)'\]|\[(\d{1,6})\]|\."([^"\\]+)\"""", re.ASCII)


def _path(node: exp.Expr, dialect: str) -> exp.Expr:
    path = _text(node)
    written = path if path.startswith("$") else f"$.{path}"
    steps: list[str] = []
    at = 1
    while at < len(written):
        match = _STEP.match(written, at)
        if match is None or len(steps) > 50 or len(written) > LONGEST:
            raise Unfit(f"{path[:40]!r} is not a path such as '$.address.city' or '$.items[0]'")
        key = next((each for each in match.group(1, 2, 3, 5) if each is not None), None)
        steps.append(f"[{int(match[4])}]" if key is None else f'."{key}"')
        at = match.end()
    if not steps:
        raise Unfit("the path must lead to a part of the document, as '$.address' does")
    return exp.Literal.string(("strict $" if dialect == POSTGRES else "$") + "".join(steps))


_FORMATS = {
    "Y": "YYYY",
    "m": "MM",
    "d": "DD",
    "H": "HH24",
    "M": "MI",
    "S": "SS",
    "j": "DDD",
    "y": "YY",
    "B": "FMMonth",
    "b": "Mon",
    "A": "FMDay",
    "a": "Dy",
}
_PICTURES = {
    "YYYY": "Y",
    "MM": "m",
    "DDD": "j",
    "DD": "d",
    "HH24": "H",
    "MI": "M",
    "SS": "S",
    "YY": "y",
    "Mon": "b",
    "Dy": "a",
}


def _format(node: exp.Expr, dialect: str) -> exp.Expr:
    parts: list[str] = []
    for match in re.finditer(r"%(.)|([^%]+)|%", _text(node), re.DOTALL):
        if match[2] is not None:
            parts.append(match[2])
        elif match[1] == "%" or match[1] in _FORMATS:
            parts.append(f"%{match[1]}")
        else:
            raise Unfit(f"{match[0]!r} is not one of %{' %'.join(_FORMATS)} %%")
    return _formatted(parts, dialect)


def _picture(node: exp.Expr, dialect: str) -> exp.Expr:
    parts: list[str] = []
    words = "|".join(_PICTURES)
    for match in re.finditer(rf"({words})|([^A-Za-z0-9%\"\\]+)|(.)", _text(node), re.DOTALL):
        if match[3] is not None:
            raise Unfit(f"{match[3]!r} is not a separator, nor one of {', '.join(_PICTURES)}")
        parts.append(f"%{_PICTURES[match[1]]}" if match[1] else match[2])
    return _formatted(parts, dialect)


def _formatted(parts: list[str], dialect: str) -> exp.Expr:
    """A format of %Y and plain texts, as the engine writes it."""
    if sum(map(len, parts)) > 200:
        raise Unfit("the format must have at most 200 characters")
    if any(mark in part for part in parts for mark in '"\\'):
        raise Unfit("a format cannot contain double quotes or backslashes")
    if dialect != POSTGRES:
        return exp.Literal.string("".join(parts))
    words = [
        _FORMATS[part[1]] if part.startswith("%") and part != "%%" else f'"{part.replace("%%", "%")}"' for part in parts
    ]
    # An empty text between two parts keeps DD and DD from being read as DDD and D.
    return exp.Literal.string('""'.join(words))


_PATTERN = re.compile(
    r"""(?P<set>\[\^?\]?(?:[^\[\]\\]|\\[\w.\-\]\[\\^$*+?(){}|/])*\])
      | (?P<class>\\[dws])
      | (?P<escaped>\\[.\-\[\]\\^$*+?(){}|/])
      | (?P<count>\{(\d{1,3})(?:,(\d{0,3}))?\})
      | (?P<group>\((?:\?:)?|\))
      | (?P<mark>[.*+?^$|])
      | (?P<plain>[^\\\[\](){}*+?.^$|])""",
    re.VERBOSE,
)
_CLASSES = {"d": "0-9", "w": "A-Za-z0-9_", "s": " \t\n\r\f\v"}


def _pattern(node: exp.Expr, _: str) -> exp.Expr:
    """A regular expression that means the same to RE2 and to PostgreSQL."""
    pattern = _text(node)
    written, at, size, previous = [], 0, 1, ""
    while at < len(pattern):
        match = _PATTERN.match(pattern, at)
        if match is None or len(pattern) > 200:
            raise Unfit(f"the regular expression cannot be used from {pattern[at : at + 20]!r} on")
        kind, text = match.lastgroup or "", match[0]
        kind = next(name for name, value in match.groupdict().items() if value is not None)
        repeats = kind == "count" or text in ("*", "+", "?")
        if repeats and previous in ("", "repeat", "open", "anchor", "or"):
            raise Unfit(f"in the regular expression, {text!r} has nothing to repeat")
        if kind == "count":
            least, most = int(match[5]), int(match[6] or match[5])
            size *= max(most, 1)
            if size > LONGEST or max(least, most) > 255 or (match[6] and most < least):
                raise Unfit("the regular expression repeats too often")
        written.append(_spell_pattern(kind, text))
        previous = _role(kind, text, repeats=repeats)
        at = match.end()
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise Unfit(f"the regular expression cannot be used: {error}") from None
    return exp.Literal.string("".join(written))


def _spell_pattern(kind: str, text: str) -> str:
    if kind == "class":
        return f"[{_CLASSES[text[1]]}]"
    if kind != "set":
        return "(?:" if text == "(" else text
    body = text[1:-1]
    inner = re.sub(r"\\([dws])", lambda match: _CLASSES[match[1]], body)
    if re.search(r"\\\w|--|&&|~~|\|\||\[[:.=]|^\^?\]", inner) or inner in ("", "^"):
        raise Unfit(f"the regular expression cannot contain {text[:40]!r}")
    return f"[{inner}]"


def _role(kind: str, text: str, *, repeats: bool) -> str:
    if repeats:
        return "repeat"
    return {"(": "open", "(?:": "open", "^": "anchor", "$": "anchor", "|": "or"}.get(text, kind)


_READERS: dict[str, Callable[[exp.Expr, str], exp.Expr]] = {
    "count": _whole(0, LONGEST),
    "ordinal": _whole(1, LONGEST),
    "digits": _whole(0, 10),
    "fill": _filled,
    "replacement": _replacement,
    "format": _format,
    "picture": _picture,
    "path": _path,
    "pattern": _pattern,
}

_CASTS: dict[str, tuple[str, str]] = {
    "BOOLEAN": ("BOOLEAN", "boolean"),
    "SMALLINT": ("SMALLINT", "whole"),
    "INT": ("INT", "whole"),
    "BIGINT": ("BIGINT", "whole"),
    "DECIMAL": ("", "number"),
    "FLOAT": ("DOUBLE", "number"),
    "DOUBLE": ("DOUBLE", "number"),
    "TEXT": ("TEXT", "text"),
    "VARCHAR": ("TEXT", "text"),
    "DATE": ("DATE", "date"),
    "TIMESTAMP": ("TIMESTAMP", "timestamp"),
}


def read_type(to: exp.Expr) -> tuple[str, str]:
    """The type of a cast in DuckDB's words, and which of our types it is. Raises Unfit."""
    kind = getattr(to.this, "value", None) if isinstance(to, exp.DataType) else None
    sizes = [each.this.name if isinstance(each, exp.DataTypeParam) else "" for each in to.expressions]
    if kind not in _CASTS or to.args.get("nested") or (sizes and kind != "DECIMAL"):
        types = "boolean, smallint, integer, bigint, decimal(10, 2), double, text, date or timestamp"
        raise Unfit(f"a value can be cast to {types}; left(x, 2) cuts a text")
    spelling, type_ = _CASTS[kind]
    if kind != "DECIMAL":
        return spelling, type_
    if len(sizes) != 2 or not all(each.isdigit() and len(each) < 3 for each in sizes):
        raise Unfit("a decimal needs its digits, as in decimal(10, 2)")
    digits, decimals = map(int, sizes)
    if not 0 < digits <= 38 or decimals > digits:
        raise Unfit("a decimal has at most 38 digits, and no more decimals than digits")
    return f"DECIMAL({digits}, {decimals})", type_


def check_time(text: str, type_: str) -> None:
    """A literal must be a date or a time of the calendar: engines disagree on the words that they take. Raises
    Unfit."""
    try:
        if type_ == "date" and len(text.strip()) <= 10:
            dt.date.fromisoformat(text.strip())
        elif dt.datetime.fromisoformat(text.strip()).tzinfo is not None:
            raise ValueError
    except ValueError:
        raise Unfit(f"{text[:40]!r} is not a {type_}; write 2024-01-31 or 2024-01-31 12:00:00") from None


def is_interval(node: exp.Cast) -> bool:
    """Whether it is an interval with a cast: `'3 days'::interval`."""
    to = node.args["to"]
    return getattr(to.this, "value", None) == "INTERVAL" and isinstance(node.this, exp.Literal)


def read_interval(node: exp.Interval) -> exp.Interval:
    """An interval of one whole number and one unit. Raises Unfit."""
    unit, amount = node.args.get("unit"), node.this
    words = amount.name.split() if isinstance(amount, exp.Literal) else []
    if len(words) == 2 and unit is None:
        words, unit = words[:1], exp.var(words[1])
    if len(words) != 1 or not re.fullmatch(r"-?[0-9]{1,6}", words[0]) or not isinstance(unit, exp.Var):
        raise Unfit("an interval is a whole number and a unit, as in interval '3 days'")
    name, count = read_unit(unit, parts=False), int(words[0])
    if name == "quarter":
        name, count = "month", count * 3
    return exp.Interval(this=exp.Literal.string(str(count)), unit=exp.var(name.upper()))
