"""An on-demand feature's SQL and its Python give the same, whatever the expression and whatever the rows."""

import datetime as dt
import functools
import re
import unicodedata
from textwrap import dedent

import duckdb
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from gemel.compiler.question.expressions import Refused, column
from gemel.on_demand import runtime
from gemel.on_demand.grammar import parse, type_expression
from gemel.on_demand.operations import OPERATIONS, PARTS
from gemel.on_demand.python import function_of
from gemel.on_demand.sql import normalize, sql_of
from gemel.on_demand.terms import Operation, walk
from trials import examples

TYPES = {
    **{"i": "int64", "j": "int64", "f": "float64", "g": "float64", "s": "string", "t": "string"},
    **{"b": "bool", "c": "bool", "d": "timestamp", "e": "timestamp", "plane.seats": "int64"},
}
ARROW = {
    **{"int64": pyarrow.int64(), "float64": pyarrow.float64(), "string": pyarrow.string(), "bool": pyarrow.bool_()},
    "timestamp": pyarrow.timestamp("us"),
}
INTEGERS = st.sampled_from([0, 1, -1, 2, 7, -7, 2**53 + 1, 2**63 - 1, -(2**63)]) | st.integers(-(2**63), 2**63 - 1)
EDGES = [0.0, -0.0, 1.5, 2.5, -2.5, 0.1, 1.005, 1e16, 1e308, -1e308, 5e-324, 0.49999999999999994, 9.3e18]
FLOATS = st.sampled_from([*EDGES, float("inf"), float("-inf"), float("nan")]) | st.floats()
LETTERS = st.characters(exclude_categories=["Cs", "Cn", "Co"])
TEXTS = st.sampled_from(["", " ", "a", " a ", "A", "ß", "İ", "ǆ", "ΑΣ", "\u00a0a", "🦆", "é"]) | st.text(
    LETTERS, max_size=5
)
TIMES = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1)) | st.just(dt.datetime(1970, 1, 1))
VALUES = {"int64": INTEGERS, "float64": FLOATS, "string": TEXTS, "bool": st.booleans(), "timestamp": TIMES}
ROWS = st.lists(st.fixed_dictionaries({n: st.none() | VALUES[t] for n, t in TYPES.items()}), min_size=1, max_size=4)


def literals(type_):
    match type_:
        case "int64":
            return INTEGERS.map(str)
        case "float64":
            return st.sampled_from(["0.0", "1.5", "2.5", "1e3", "-0.1", "1e308", "123456789.123456789"])
        case "string":
            return TEXTS.map(lambda text: exp.Literal.string(text).sql("duckdb"))
        case "bool":
            return st.sampled_from(["true", "false"])
        case _:
            return TIMES.map(lambda time: f"timestamp '{time:%Y-%m-%d %H:%M:%S}'")


@functools.cache
def expressions(type_, depth=3):
    """Texts of the grammar that have the type, or are NULL."""
    names = [name for name, each in TYPES.items() if each == type_]
    leaf = st.sampled_from(names) | st.sampled_from(names) | literals(type_) | st.just("null")
    if depth == 0:
        return leaf
    number, same = expressions("int64", depth - 1) | expressions("float64", depth - 1), expressions(type_, depth - 1)
    condition, text = expressions("bool", depth - 1), expressions("string", depth - 1)
    integer, time = expressions("int64", depth - 1), expressions("timestamp", depth - 1)
    any_pair = st.one_of(st.tuples(each, each) for each in (number, condition, text, time))
    ordered = st.one_of(st.tuples(each, each, each) for each in (number, text, time))

    def write(form, *parts):
        return st.tuples(*parts).map(lambda given: form.format(*given))

    ways = [
        write("case when {} then {} when {} then {} end", condition, same, condition, same),
        write("case when {} then {} else {} end", condition, same, same),
        write("case {} when {} then {} else {} end", integer, number, same, same),
        write("if({}, {}, {})", condition, same, same),
        write("coalesce({}, {})", same, same),
        write("nullif({}, {})", same, same),
        write("({})", same),
    ]
    if type_ in ("int64", "float64"):
        ways += [write(f"({{}}) {sign} ({{}})", same, same) for sign in "+-*"]
        ways += [write("-({})", same), write("abs({})", same)]
    if type_ == "int64":
        ways += [write(f"({{}}) {sign} ({{}})", same, same) for sign in ("//", "%")]
        ways += [write("cast({} as bigint)", number | condition), write("length({})", text)]
        parts = st.sampled_from(sorted(PARTS))
        ways += [write("extract({} from {})", parts, time), write("hour({})", time), write("dayofweek({})", time)]
        steps = st.sampled_from(["second", "minute", "hour", "day"])
        ways += [write("date_diff('{}', {}, {})", steps, time, time)]
    if type_ == "float64":
        ways += [write("({}) / ({})", number, number), write("cast({} as double)", number | condition)]
        ways += [write("round({}, {})", same, st.integers(0, 15)), write("round({})", same)]
        ways += [write("floor({})", same), write("ceil({})", same), write("({}) * ({})", same, integer)]
    if type_ == "string":
        ways += [write("({}) || ({})", same, same), write("concat({}, {}, {})", same, same, same)]
        ways += [write(f"{name}({{}})", same) for name in ("lower", "upper", "trim")]
        ways += [write("cast({} as varchar)", integer | condition)]
    if type_ == "bool":
        ways += [write("({}) and ({})", same, same), write("({}) or ({})", same, same), write("not ({})", same)]
        ways += [any_pair.map(lambda pair, s=sign: f"({pair[0]}) {s} ({pair[1]})") for sign in ("=", "<>")]
        ways += [ordered.map(lambda of, s=sign: f"({of[0]}) {s} ({of[1]})") for sign in ("<", "<=", ">", ">=")]
        ways += [ordered.map(lambda of: f"({of[0]}) between ({of[1]}) and ({of[2]})")]
        ways += [ordered.map(lambda of: f"({of[0]}) not in ({of[1]}, {of[2]})")]
        ways += [any_pair.map(lambda pair: f"({pair[0]}) is null"), write("({}) is not true", same)]
    else:
        ways += [] if type_ == "string" and depth < 2 else [write("least({}, {})", same, same)]
        ways += [write("greatest({}, {}, {})", same, same, same)]
    return leaf | st.one_of(ways)


def in_sql(term, rows):
    """The expression over the rows, as a training set computes it."""
    table = pyarrow.table(
        {"n": range(len(rows))}
        | {f"in_{n}": pyarrow.array([row[n] for row in rows], ARROW[t]) for n, t in TYPES.items()}
    )
    value = sql_of(term, lambda each: normalize(column(f"in_{each.name}"), each.type))
    query = exp.select(exp.alias_(value, "value")).from_("given").order_by(column("n"))
    with duckdb.connect() as connection:
        connection.register("given", table)
        connection.execute("SET TimeZone = 'UTC'")
        return [row[0] for row in connection.execute(query.sql("duckdb")).fetchall()]


def in_python(term, rows):
    """The expression over the rows, as Feast runs it."""
    namespace = {}
    exec(function_of("view", {"value": term}, {"value": "it"}), namespace)
    return namespace["view"]({name.replace(".", "__"): [row[name] for row in rows] for name in TYPES})["value"]


def plain(value):
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None)
    return value


@examples(150)
@given(st.data(), st.sampled_from(["int64", "float64", "string", "bool", "timestamp"]), ROWS)
def test_sql_and_python_give_the_same(data, type_, rows):
    text = data.draw(expressions(type_))
    try:
        term = type_expression(parse(text), TYPES)
    except Refused as refusal:
        assert any(why in str(refusal) for why in ("uses no input", "always NULL", "deep", "computes with")), str(
            refusal
        )
        return
    expected, computed = in_sql(term, rows), list(map(plain, in_python(term, rows)))
    assert computed == expected, sql_of(term, lambda each: column(each.name)).sql("duckdb")
    assert [type(value) for value in computed] == [type(value) for value in expected]


def test_integers_keep_their_digits_beside_a_part_of_no_time():
    term = type_expression(parse("case when b then i when null then hour(null) end"), TYPES)
    rows = [dict.fromkeys(TYPES) | {"i": 2**53 + 1, "b": True}]
    assert in_sql(term, rows) == in_python(term, rows) == [2**53 + 1]


def test_every_operation_is_written_somewhere_above():
    """An operation that no example reaches would be held equal by nothing."""
    texts = """i + j;f + g;i - j;f - g;i * j;f * g;i / j;i // j;i % j;abs(i);abs(f);round(f, 2);floor(f);ceil(f);
        least(i, j);greatest(i, j);i = j;i <> j;i < j;i <= j;b and c;b or c;not b;i is null;coalesce(i, j);nullif(i, j);
        if(b, i, j);s || t;concat(s, t);lower(s);upper(s);trim(s);length(s);cast(i as double);cast(f as bigint);
        cast(i as varchar);hour(d);date_diff('day', d, e)"""
    terms = [type_expression(parse(text), TYPES) for text in texts.split(";")]
    written = {each.name for term in terms for each in walk(term) if isinstance(each, Operation)}
    assert written == {*OPERATIONS}


def test_letters_become_lower_and_upper_as_duckdb_has_them():
    letters = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) not in ("Cs", "Cn", "Co")]
    with duckdb.connect() as connection:
        connection.register("given", pyarrow.table({"letter": letters}))
        found = connection.execute("select lower(letter), upper(letter) from given").fetchall()
    assert found == [(runtime.lower(letter), runtime.upper(letter)) for letter in letters]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("i + 1 as x", "contains a alias"),
        ("(select 1)", "is not one expression"),
        ("sum(i)", "the function 'sum' is not in the grammar"),
        ("rond(f)", "the function 'rond' is not in the grammar"),
        ("random() * i", "the function 'rand' is not in the grammar"),
        ("i ^ 2", "is not in the grammar"),
        ("s like 'a%'", "is not in the grammar"),
        ("trim(leading 'x' from s)", "is not in the grammar"),
        ("s collate nocase = 'a'", "is not in the grammar"),
        ("i in (select 1)", "contains a subquery"),
        ("a.b.c", "a.b.c is neither an input nor a view.feature"),
        ("1 + 1", "uses no input and no feature"),
        ("not " * 70 + "b", "nested more than 60 levels deep"),
        ("9223372036854775808 + i", "9223372036854775808 is beyond 64 bits"),
        ("f * 1e400", "1e400 is too large for a number"),
        ("i + s", "i + s needs numbers, not string"),
        ("i = s", "mixes int64 and string"),
        ("b > c", "cannot order booleans"),
        ("i and b", "needs a condition, not int64"),
        ("case when i then 1 end", "needs a condition, not int64"),
        ("case when b then 1 else 'a' end", "mixes int64 and string"),
        ("f // 2", "f // 2 needs integers"),
        ("d - e", "write date_diff('minute', earlier, later)"),
        ("round(f, i)", "the digits must be a number from 0 to 15"),
        ("cast(f as varchar)", "cannot convert float64 to string"),
        ("cast(s as double)", "cannot convert string to float64"),
        ("cast(i as int)", "cast takes bigint, double, varchar, boolean, timestamp, not int"),
        ("hour(i)", "needs a time, not int64"),
        ("extract(epoch from d)", "not epoch"),
        ("date_diff('month', d, e)", "the unit must be one of second, minute, hour, day, not month"),
        ("timestamp 'soon' < d", "'soon' is not a time"),
        ("nullif(null, i)", "is always NULL"),
        ("i is 5", "IS is only for null, true and false"),
    ],
)
def test_what_is_not_held_equal_is_refused(text, message):
    with pytest.raises(Refused, match=re.escape(message)):
        type_expression(parse(text), TYPES)


def test_a_function_of_python_stands_alone_and_reads_as_the_expression():
    terms = {"ratio": type_expression(parse("f / plane.seats"), TYPES)}
    assert function_of("flights", terms, {"ratio": "f / plane.seats"}) == dedent(
        '''\
        def flights(inputs):
            def whole(value):
                """An integer, also where pandas made it a fraction for lack of a NULL."""
                if value is None or value != value:
                    return None
                if not -(2**63) <= value < 2**63 or int(value) != value:
                    raise ValueError(f"{value!r} is no integer of 64 bits")
                return int(value)

            def real(value):
                return None if value is None or value != value else float(value)

            def bounded(value):
                """None for what is no value: NaN, and an integer beyond 64 bits."""
                if isinstance(value, float):
                    return None if value != value else value
                return value if -(2**63) <= value < 2**63 else None

            def divide(left, right):
                return None if left is None or not right else bounded(left / right)

            def ratio(f, plane__seats):
                # f / plane.seats
                return divide(f, real(plane__seats))

            return {
                "ratio": list(
                    map(
                        ratio,
                        map(real, inputs["f"]),
                        map(whole, inputs["plane__seats"]),
                    ),
                ),
            }'''
    )


def test_names_that_python_has_itself_are_no_trouble():
    types = {"class": "int64", "add": "int64", "list.map": "int64", "inputs": "int64"}
    term = type_expression(parse('"class" + add + list.map + inputs'), types)
    namespace = {}
    exec(function_of("view", {"return": term}, {"return": "it"}), namespace)
    columns = {"class": [1, None], "add": [2, 2], "list__map": [3, 3], "inputs": [4, 4]}
    assert namespace["view"](columns) == {"return": [10, None]}
