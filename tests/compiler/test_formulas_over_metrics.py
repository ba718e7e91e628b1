"""Formulas over metrics: functions as they are written, divisions that give NULL for zero and have fractions."""

import duckdb
import pytest
from sqlglot import exp

from gemel.compiler.question.expressions import Refused, substitute
from gemel.compiler.question.formulas import read_formula
from worlds.postgres import own_name, own_schema

HANDLES = ("a", "b", "c", "values", "year", "current_user", "true")


def spelled(text, dialect="duckdb"):
    return read_formula(text, dialect, HANDLES).sql(dialect)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a / b", "a / NULLIF(b, 0)"),
        ("a / (b + c) / 2", "a / NULLIF(b + c, 0) / 2"),
        ("Round(a / b, 2) * 100", "Round(a / NULLIF(b, 0), 2) * 100"),
        ("log10(a) / log10(b)", "log10(a) / NULLIF(log10(b), 0)"),
        ("a::float / b", "a::float / NULLIF(b, 0)"),
        ("cast(a / b as int)", "cast(a / NULLIF(b, 0) as int)"),
        ("a % b / -c", "a % b / NULLIF(-c, 0)"),
        ("a / b.c[1]::int ^ 2 + 1", "a / NULLIF(b.c[1]::int ^ 2, 0) + 1"),
        ("a / nullif(b, 0) % 2", "a / nullif(b, 0) % 2"),
        ("a % 2 / 4", "a % 2 / 4"),
        ("values / year", '"values" / NULLIF("year", 0)'),
        ("current_user - true", '"current_user" - "true"'),
        ("case when values > 0 then a end", "CASE WHEN values > 0 THEN a END"),
        ("case when a > 0 then 'x' else b / c end", "CASE WHEN a > 0 THEN 'x' ELSE b / NULLIF(c, 0) END"),
    ],
)
def test_a_function_stays_as_it_is_and_a_divisor_becomes_null_instead_of_zero(text, expected):
    assert spelled(text) == expected


@pytest.mark.parametrize("text", ["", "a /", "a, b", "select 1", "a; b"])
def test_what_is_not_one_expression_is_refused(text):
    with pytest.raises(Refused):
        read_formula(text, "duckdb")


BOTH = [
    ("a / b", 3.5),
    ("(a / b) * 2", 7),
    ("a / c", None),
    ("b / a / b", 1 / 7),
    ("round(a / b)", 4),
    ("round(cast(a as decimal) / b, 1)", 3.5),
    ("greatest(a / b, 1) / c", None),
    ("a / b::int", 3.5),
    ("coalesce(a / c, -1)", -1),
    ("cast(a as float) / b", 3.5),
    ("a % b / 4", 0.25),
    ("sqrt(a / b * 14)", 7),
    ("case when a / b > 3.2 then 'more' else 'less' end", "more"),
    ("power(b, 2) / 8", 0.5),
    ("a - b - 1", 4),
    ("- -a", 7),
]


def value_of(text, dialect, run):
    """The formula over a = 7, b = 2 and c = 0, which are whole numbers of sums."""
    columns = {name: exp.cast(exp.Literal.number(number), "bigint") for name, number in (("a", 7), ("b", 2), ("c", 0))}
    value = substitute(read_formula(text, dialect), columns)
    return run(f"SELECT {value.sql(dialect)}")


@pytest.mark.parametrize(("text", "value"), BOTH)
def test_its_numbers_on_duckdb(text, value):
    assert value_of(text, "duckdb", lambda sql: duckdb.execute(sql).fetchall()[0][0]) == pytest.approx(value)


@pytest.fixture(scope="module")
def postgres(needs_postgres):
    with own_schema(needs_postgres, own_name("formulas")) as schema:
        yield lambda sql: schema.connection.execute(sql).fetchone()[0]


@pytest.mark.parametrize(("text", "value"), [*BOTH, ("round(a / b, 1)", 3.5)])
def test_its_numbers_on_postgresql(text, value, postgres):
    number = value_of(text, "postgres", postgres)
    assert (number if number is None or isinstance(number, str) else float(number)) == pytest.approx(value)
