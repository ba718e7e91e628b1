"""Random arguments for the functions of asked text: columns with their types, and literals."""

import datetime as dt
import json
from dataclasses import dataclass
from decimal import Decimal

from hypothesis import strategies as st

LETTERS = "abcABC01 .,-_%\\'\"éÉñ中🦆\n\t\u0301x"
PLAIN = "abcABC01 ,.-éÉñ中"
"""Letters whose upper and lower case are single letters everywhere."""
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata")


@dataclass(frozen=True)
class Argument:
    """The text of an argument: a literal, or a column with these `rows`, each a SQL literal or None, of a `type`."""

    text: str
    rows: tuple | None = None
    type: str = ""


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def texts(alphabet=LETTERS, most=8):
    return st.text(st.sampled_from(alphabet), max_size=most)


whole = st.integers(-12, 12) | st.integers(-(10**6), 10**6)
decimals = st.decimals(-(10**6), 10**6, places=4)
doubles = st.floats(-1e6, 1e6, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-6)
dates = st.dates(dt.date(1600, 1, 1), dt.date(2200, 12, 31))
moments = st.datetimes(dt.datetime(1600, 1, 1), dt.datetime(2200, 12, 31))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | texts("ab \"é\\🦆'", 5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "0", "é"]), inner, max_size=3)
    ),
    max_leaves=6,
)
documents = (st.lists(json_values, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "0"]), json_values)).map(
    lambda value: json.dumps(value, ensure_ascii=False)
)
paths = st.lists(st.sampled_from([".a", ".b", "[0]", "[1]", '["0"]', '["é"]']), min_size=1, max_size=3).map(
    lambda steps: "$" + "".join(steps)
)
formats = st.lists(
    st.sampled_from(
        ["%Y", "%m", "%d", "%H", "%M", "%S", "%j", "%y", "%B", "%b", "%A", "%a", "%%", "-", " at ", "é", "/Y"]
    ),
    min_size=1,
    max_size=5,
).map("".join)
_picture = st.sampled_from(["YYYY", "MM", "DD", "HH24", "MI", "SS", "DDD", "YY", "Mon", "Dy"])
pictures = st.lists(st.tuples(_picture, st.sampled_from(["-", "/", ": "])), min_size=1, max_size=4).map(
    lambda parts: "".join(word + separator for word, separator in parts)
)
_atoms = st.sampled_from(["a", "b", "0", " ", ".", "[ab]", "[^a]", "[a-c0]", r"\d", r"\w", r"\s", r"\.", "é", r"[\d-]"])
patterns = st.recursive(
    _atoms,
    lambda inner: (
        st.builds(
            "{}{}".format, _atoms | inner.map("({})".format), st.sampled_from(["*", "+", "?", "{2}", "{0,3}", "{1,}"])
        )
        | st.lists(inner, min_size=2, max_size=3).map("".join)
        | st.lists(inner, min_size=2, max_size=2).map("|".join)
    ),
    max_leaves=5,
).flatmap(lambda text: st.sampled_from(["{}", "^{}", "{}$", "^({})$"]).map(lambda around: around.format(text)))

LITERALS = {
    "count": st.integers(0, 12).map(str),
    "ordinal": st.integers(1, 5).map(str),
    "digits": st.integers(0, 6).map(str),
    "fill": texts("xy ,é🦆", 3).filter(bool).map(quoted),
    "replacement": texts(most=3).map(quoted),
    "format": formats.map(quoted),
    "picture": pictures.map(quoted),
    "path": paths.map(quoted),
    "pattern": patterns.map(quoted),
    "zone": st.sampled_from(ZONES).map(quoted),
}

NUMBERS = {"BIGINT": whole.map(str), "DECIMAL(18, 4)": decimals.map(str), "DOUBLE": doubles.map(repr)}
TIMES = {
    "DATE": dates.map(lambda day: quoted(day.isoformat())),
    "TIMESTAMP": moments.map(lambda moment: quoted(moment.isoformat(" "))),
    "TIMESTAMPTZ": moments.map(lambda moment: quoted(moment.isoformat(" ") + "+00")),
}
MODERN = {
    "TIMESTAMP": st.datetimes(dt.datetime(1971, 1, 1), dt.datetime(2036, 1, 1)).map(lambda m: quoted(m.isoformat(" ")))
}
COLUMNS = {
    "text": {"TEXT": texts().map(quoted)},
    "plain": {"TEXT": texts(PLAIN).map(quoted)},
    "matched": {"TEXT": texts("ab01 .-_é\n٣", 6).map(quoted)},
    "number": NUMBERS,
    "exact": {name: NUMBERS[name] for name in ("BIGINT", "DECIMAL(18, 4)")},
    "small": {"BIGINT": st.integers(-9, 9).map(str), "DECIMAL(18, 4)": st.decimals(-9, 9, places=2).map(str)},
    "seconds": {"BIGINT": st.integers(-(10**10), 10**10).map(str), "DECIMAL(18, 4)": decimals.map(str)},
    "whole": {"BIGINT": whole.map(str), "INTEGER": whole.map(str)},
    "amount": {"BIGINT": st.integers(-200, 200).map(str)},
    "position": {"BIGINT": st.integers(-3, 9).map(str)},
    "size": {"BIGINT": st.integers(-9, 9).map(str)},
    "year": {"BIGINT": st.integers(1, 9999).map(str)},
    "month": {"BIGINT": st.integers(1, 12).map(str)},
    "day": {"BIGINT": st.integers(1, 28).map(str)},
    "boolean": {"BOOLEAN": st.sampled_from(["TRUE", "FALSE"])},
    "time": TIMES,
    "modern": MODERN,
    "json": {"TEXT": documents.map(quoted)},
}
ANY = {
    "BIGINT": st.integers(-3, 3).map(str),
    "DATE": st.dates(dt.date(2024, 1, 1), dt.date(2024, 1, 4)).map(lambda day: quoted(day.isoformat())),
    "BOOLEAN": st.sampled_from(["TRUE", "FALSE"]),
}
SPECIAL = {
    ("lower", "value"): "plain",
    ("upper", "value"): "plain",
    ("regexp_like", "value"): "matched",
    ("mod", "value"): "exact",
    ("mod", "divisor"): "exact",
    ("power", "value"): "small",
    ("power", "exponent"): "small",
    ("exp", "value"): "number",
    ("make_date", "year"): "year",
    ("make_date", "month"): "month",
    ("make_date", "day"): "day",
    ("dateadd", "amount"): "amount",
    ("add_months", "amount"): "amount",
    ("left", "size"): "size",
    ("right", "size"): "size",
    ("substring", "size"): "size",
    ("from_unixtime", "seconds"): "seconds",
    ("from_utc_timestamp", "value"): "modern",
}


@st.composite
def calls(draw, row):
    """A call of a function, and its columns by name."""
    count = draw(st.integers(6, 20))
    shared = draw(st.sampled_from(sorted(ANY)))  # values of kind `any` are of one type
    texts_, columns = [], {}
    repeated = [each for each in row.parameters if each.repeated]
    parameters = [*row.parameters, *(repeated * draw(st.integers(0, 2)))]
    for place, parameter in enumerate(parameters):
        if parameter.kind == "unit":
            units = row.duckdb if isinstance(row.duckdb, dict) else dict.fromkeys(["year", "week", "day", "hour"])
            texts_.append(quoted(draw(st.sampled_from(sorted(units)))))
            continue
        if parameter.kind == "interval":
            texts_.append(f"interval {draw(st.integers(-40, 40))} {draw(st.sampled_from(['month', 'day', 'minute']))}")
            continue
        if parameter.kind in LITERALS:
            texts_.append(draw(LITERALS[parameter.kind]))
            continue
        choices = COLUMNS.get(SPECIAL.get((row.name, parameter.name), parameter.kind), {shared: ANY[shared]})
        type_ = draw(st.sampled_from(sorted(choices)))
        one = choices[type_]
        if type_ == "TEXT" and draw(st.integers(0, 3)) == 0:
            texts_.append(draw(one))
            continue
        name = f"c{place}"
        columns[name] = (type_, draw(st.lists(st.none() | one | one | one, min_size=count, max_size=count)))
        texts_.append(name)
    return f"{row.name}({', '.join(texts_)})", count, columns


def table(count, columns, dialect):
    """A SELECT of the columns, with their row's number."""
    double = {"postgres": {"DOUBLE": "DOUBLE PRECISION"}}.get(dialect, {})
    rows = []
    for number in range(count):
        cells = [
            f"CAST({values[number] if values[number] is not None else 'NULL'} AS {double.get(type_, type_)}) AS {name}"
            for name, (type_, values) in columns.items()
        ]
        rows.append(f"SELECT {', '.join([f'{number} AS n', *cells])}")
    return " UNION ALL ".join(rows)


def alike(left, right):
    """Whether two engines' values are the same: fractions up to the last digits of a double."""
    numbers = (int, float, Decimal)
    if isinstance(left, numbers) and isinstance(right, numbers) and not isinstance(left, bool):
        one, other = float(left), float(right)
        return one == other or abs(one - other) <= 1e-9 * max(1.0, abs(one), abs(other))
    return type(left) is type(right) and left == right
