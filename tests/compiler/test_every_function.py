"""Every function of DuckDB and PostgreSQL that takes plain values: a definition calls it as it was written."""

import re

import duckdb
import pytest

from compiler.test_own_sql import ROWS, is_same
from worlds.postgres import own_name, own_schema

DUCKDB = {
    **dict.fromkeys(("INTEGER", "BIGINT", "SMALLINT", "TINYINT", "HUGEINT", "ANY"), "n"),
    **dict.fromkeys(("DOUBLE", "FLOAT", "DECIMAL"), "amount"),
    **{"VARCHAR": "word", "TIMESTAMP": "ts", "DATE": "day", "BOOLEAN": "flag", "INTERVAL": "interval '1 day'"},
}
"""An argument of each type."""
POSTGRES = {
    **{"text": "word", "varchar": "word", "bytea": "word::bytea", "bool": "flag", "numeric": "amount", "date": "day"},
    **{"int2": "n::int2", "int4": "n", "int8": "n::bigint", "float4": "amount::float4", "float8": "amount::float8"},
    **{"timestamp": "ts", "timestamptz": "ts::timestamptz", "interval": "interval '1 day'", "anyelement": "n"},
    **{"anyarray": "array[n, id]", "json": "'{\"a\": 1}'::json", "jsonb": "'{\"a\": 1}'::jsonb"},
}
OWN_NAME = {"alias(n)"}  # its value is the text of its argument
OTHERS = re.compile(r"pg_.*|lo_.*|has_.*|ts_.*|.*_(recv|send|in|out|to_xml.*)|.*(timestamp|advisory).*|overlaps")
"""Functions of the server, its locks and its clocks; `overlaps` is behind an operator, and sqlglot reads only that."""


def calls(signatures, arguments):
    """The call of each function that takes only such arguments."""
    fitting = [(name, types) for name, types in signatures if all(each in arguments for each in types)]
    return sorted({f"{name}({', '.join(arguments[each] for each in types)})" for name, types in fitting})


def compared(texts, dialect, run):
    """How many calls the engine accepts. Each has the same value placed by us."""
    count = 0
    for text in texts:
        try:
            alone, again = (run(f"SELECT {text}, id FROM facts") for _ in range(2))
        except Exception:  # no function for these values
            continue
        if str(alone) != str(again):  # a clock
            continue
        is_same(text, dialect, run)
        count += 1
    return count


def test_every_function_of_duckdb():
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE facts AS {ROWS}")

        def run(sql):
            return connection.execute(sql).fetchall()

        found = run(
            "SELECT function_name, parameter_types FROM duckdb_functions() "
            "WHERE function_type = 'scalar' AND stability = 'CONSISTENT'"
        )
        named = [(name, types) for name, types in found if re.fullmatch(r"[a-z_]\w*", name)]
        texts = [text for text in calls(named, DUCKDB) if text not in OWN_NAME]
        assert compared(texts, "duckdb", run) > 500


def test_every_function_of_postgresql(needs_postgres):
    with own_schema(needs_postgres, own_name("functions")) as schema:
        schema.connection.execute(
            f"SET search_path = {schema.name}; SET timezone = 'UTC'; SET statement_timeout = '5s'"
        )
        schema.connection.execute(f"CREATE TABLE facts AS {ROWS}")

        def run(sql):
            return schema.connection.execute(sql).fetchall()

        found = run(
            "SELECT proname, array(SELECT typname::text FROM unnest(proargtypes) WITH ORDINALITY AS a(type, place) "
            "JOIN pg_type ON pg_type.oid = type ORDER BY place) FROM pg_proc "
            "WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND NOT proretset AND provolatile <> 'v'"
        )
        texts = calls([(name, types) for name, types in found if not OTHERS.fullmatch(name)], POSTGRES)
        assert compared(texts, "postgres", run) > 500


@pytest.mark.parametrize("text", ["overlaps(a, b, c, d)", "f (a)"])
def test_a_name_before_a_bracket_is_a_function(text):
    from gemel.compiler.question.own import read_own

    assert [each.name for each in read_own(text, "postgres").node.expressions] == [*"abcd"][: text.count(",") + 1]
