"""Asked text comes from whoever asks: what it may call, and that each function means the same on every engine."""

import os
import re
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp, parse_one

from compiler.asked_values import alike, calls, table
from gemel.compiler.question.language.asked import ask_filter, ask_result_filter
from gemel.compiler.question.language.closed import hold, read_text
from gemel.compiler.question.language.functions import BY_NAME, FUNCTIONS
from gemel.compiler.question.language.signatures import KINDS, RESULTS, UNITS
from gemel.compiler.question.language.spelling import Written
from gemel.compiler.question.language.writing import Writer
from gemel.errors import QueryError
from trials import examples

ROOT = Path(__file__).parents[2]
ENGINES = ("duckdb", "postgres")


@pytest.fixture(scope="module")
def engines(needs_postgres):
    import psycopg

    with duckdb.connect() as local, psycopg.connect(needs_postgres, autocommit=True) as server:
        local.execute("SET TimeZone = 'UTC'")
        server.execute("SET TimeZone = 'UTC'")
        yield {
            "duckdb": lambda sql: local.execute(sql).fetchall(),
            "postgres": lambda sql: server.execute(sql.encode()).fetchall(),
        }


def written(text, dialect):
    """An expression over plain columns, as an engine reads it; held to the table, as every asked text is."""
    writer = Writer(dialect, text, lambda node: Written(exp.column(node.name)), str)
    tree = writer.write(read_text(text)).tree
    hold(tree, dialect, writer.called)
    return tree.sql(dialect)


# The table.


def test_every_row_of_the_table_is_described_and_has_examples():
    for row in FUNCTIONS:
        assert row.meaning.endswith(".") or row.meaning.endswith("…"), row.name
        assert row.examples, row.name
        assert all(parameter.kind in KINDS for parameter in row.parameters) and row.result in RESULTS
    arities = [(name, len(row.parameters)) for name, rows in BY_NAME.items() for row in rows]
    repeated = {name for name, rows in BY_NAME.items() if any(p.repeated for row in rows for p in row.parameters)}
    assert len({*arities}) == len(arities), "two rows of one name take as many arguments"
    assert all(len(BY_NAME[name]) == 1 for name in repeated)


EXAMPLES = [(row, text) for row in FUNCTIONS for text in row.examples]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_examples_of_the_table_are_true_on_each_engine(engines, engine):
    for _, text in EXAMPLES:
        sql = ask_result_filter(text, [], engine, {}).sql(engine)
        assert engines[engine](f"SELECT {sql}") == [(True,)], (text, sql)


CLOCK = {"current_date", "current_timestamp"}
"""What differs from one moment to the next."""


@pytest.mark.parametrize("row", [row for row in FUNCTIONS if row.name not in CLOCK], ids=lambda row: row.signature)
@examples(6)
@given(data=st.data())
def test_a_function_has_the_same_value_on_each_engine(engines, row, data):
    text, count, columns = data.draw(calls(row))
    results = {}
    for engine in ENGINES:
        source = table(count, columns, engine)
        sql = f"SELECT {written(text, engine)} FROM ({source}) AS t ORDER BY n"
        results[engine] = [value for (value,) in engines[engine](sql)]
    pairs = list(zip(*results.values(), strict=True))
    assert all(alike(left, right) for left, right in pairs), (text, columns, pairs)


@pytest.mark.parametrize(
    ("text", "result"),
    [("div(a, b)", 1), ("left('abc', a)", "abc"), ("right('abc', b)", "bc"), ("dateadd('day', a, d)", 4)],
)
def test_a_fraction_in_place_of_a_whole_number_is_rounded_alike(engines, text, result):
    for engine in ENGINES:
        source = "SELECT CAST(2.5 AS DECIMAL(9, 2)) AS a, CAST(1.6 AS DECIMAL(9, 2)) AS b, DATE '2024-01-01' AS d"
        [(value,)] = engines[engine](f"SELECT {written(text, engine)} FROM ({source}) AS t")
        assert getattr(value, "day", value) == result


# The page.


def described():
    """The table, as docs/functions.md shows it."""
    for group in dict.fromkeys(row.group for row in FUNCTIONS):
        yield f"## Functions: {group}\n"
        yield "| function | other names | meaning |\n|---|---|---|"
        for row in FUNCTIONS:
            if row.group == group:
                mark = " \u00b9" if row.elsewhere else ""
                others = ", ".join(f"`{name}`" for name in row.names[1:])
                example = " ".join(f"`{text}`" for text in row.examples).replace("|", "\\|")
                meaning = row.meaning.replace("|", "\\|")
                yield f"| `{row.signature}`{mark} | {others} | {meaning} {example} |"
        yield ""
    yield "## What arguments must be\n"
    yield "| type | takes |\n|---|---|"
    for kind, meaning in KINDS.items():
        yield f"| `{kind}` | {meaning.replace('|', chr(92) + '|')} |"


def test_the_page_of_functions_shows_the_table():
    """GEMEL_WRITE_GOLDEN=1 writes it."""
    page = ROOT / "docs" / "functions.md"
    intro, _, _ = page.read_text(encoding="utf-8").partition("## Functions: ")
    whole = intro + "\n".join(described()) + "\n"
    if os.environ.get("GEMEL_WRITE_GOLDEN"):
        page.write_text(whole, encoding="utf-8")
    assert page.read_text(encoding="utf-8") == whole


# The language.


REACHING = """\
getenv('HOME') read_text('/etc/passwd') read_blob('f') read_csv('f') read_csv_auto('f') read_parquet('f')
read_json('f') glob('*') query('drop_table') query_table('t') current_setting('threads') nextval('s') currval('s')
pg_sleep(9) sleep_ms(9) duckdb_settings() error('x') txid_current() sql_auto_complete('s')
json_execute_serialized_sql('{}') write_log('x') getvariable('x') setseed(1) version() session_user()
current_schema() current_database() main.getvariable('x') system.main.nextval('s') 'f'.read_text() "GetVariable"('x')
list_transform([1],x->x+1) COLUMNS('a.*') generate_series(1,1000000000) unnest([1]) row_number()over() entropy(1)
count_star() query_to_xml('select_1',true,true,'') lo_export(1,'f') set_config('TimeZone','UTC',false)
pg_read_file('f') dblink('x','y') repeat('x',1000000000) rpad('x',1000000000,'y') lpad('x',1001,'y') range(9)
replace(replace('aaaa','a','bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb'),'b','cccccccccccccccccccccccccccccccccc')
format('{:>999999999}',1) list_resize([1],999999999) levenshtein('a','b') randstr(3,4) try_cast(1.as.int)
sum(revenue) #1 max(revenue)over() 1::regclass x'41' $1 ? @x :x [1] {'a':1} array[1] 1::int[] (1,2)
'a'::varchar(2) 1::decimal 1::json 'now'::timestamp date'today' interval'1_day_2_hours' 1//2 2^3 1&2 ~1 a.b *""".split()  # noqa: SIM905


@pytest.mark.parametrize("call", REACHING)
@pytest.mark.parametrize("engine", ENGINES)
def test_what_reaches_outside_the_row_or_grows_without_bound_is_refused(call, engine):
    call = call.replace("_1_day_2_hours", " 1 day 2 hours")
    for text in (f"{{{{ Entity('customer') }}}} = {call}", call):
        with pytest.raises(QueryError) as refused:
            ask_filter(text, engine, {})
        assert refused.value.code in ("G340", "G308", "G309"), refused.value
    with pytest.raises(QueryError) as refused:
        ask_result_filter(f"revenue = {call}", ["revenue"], engine, {})
    assert refused.value.code in ("G340", "G308", "G309", "G316"), refused.value


@pytest.mark.parametrize(
    "text",
    [
        "a ->> '2024-01-31'",
        "DATETIME(a)",
        "VAR_MAP('x')",
        "MATCH_AGAINST(1,'x')",
        "json_value(a,'[1,2]')",
        "1 as b",
        "a -> 'b'",
        "(",
    ],
)
def test_what_sqlglot_stumbles_over_is_refused_with_its_text(text, caplog):
    with pytest.raises(QueryError) as refused:
        ask_result_filter(f"a = {text}", ["a"], "duckdb", {})
    assert f"a = {text}" in str(refused.value)
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("text", "on_duckdb", "on_postgres"),
    [
        ("a = 1 and not b", "a = 1 AND NOT b", None),
        ("a+1*2 > -b", "a + 1 * 2 > -b", None),
        ("(a+1)*2 > 1", "(a + 1) * 2 > 1", None),
        ("a - (b - 1) > 1", "a - (b - 1) > 1", None),
        ("a is not null", "a IS NOT NULL", None),
        ("a is not true or b is false", "NOT a IS TRUE OR b IS FALSE", None),
        ("a is not distinct from b", "a IS NOT DISTINCT FROM b", None),
        ("a in (1, 2) or a not in (3)", "a IN (1, 2) OR NOT a IN (3)", None),
        ("a not between 1 and 2", "NOT a BETWEEN 1 AND 2", None),
        ("a not like 'x%'", "NOT a LIKE 'x%'", None),
        ("a like '5\\%'", "a LIKE '5\\%'", "a LIKE '5\\%' ESCAPE ''"),
        ("a ilike '5!%' escape '!'", "a ILIKE '5!%' ESCAPE '!'", None),
        ("a || 'x' = 'yx'", "a || 'x' = 'yx'", None),
        ("a / b > 1", "a / NULLIF(b, 0) > 1", "CAST(a AS DOUBLE PRECISION) / NULLIF(b, 0) > 1"),
        ("a % 2 = 1", "a % 2 = 1", None),
        ("case a when 1 then true else false end", "CASE a WHEN 1 THEN TRUE ELSE FALSE END", None),
        ("a::date = date '2024-01-31'", "CAST(a AS DATE) = CAST('2024-01-31' AS DATE)", None),
        ("a > current_date - interval '3 days'", None, None),
        ("cast(a as decimal(10,2)) > 1.5", "CAST(a AS DECIMAL(10, 2)) > 1.5", None),
        ("a::float > 1", "CAST(a AS DOUBLE) > 1", "CAST(a AS DOUBLE PRECISION) > 1"),
        ("extract(month from a) = 2", "CAST(FLOOR(DATE_PART('month', CAST(a AS TIMESTAMP))) AS BIGINT) = 2", None),
        ("trim(leading 'x' from a) = 'y'", "LTRIM(a, 'x') = 'y'", None),
        ("position('x' in a) = 1", "STRPOS(a, 'x') = 1", None),
        ("substring(a from 2 for 1) = 'x'", None, None),
        ("NVL(a, b) = IF(a > 1, 2, 3)", "COALESCE(a, b) = CASE WHEN a > 1 THEN 2 ELSE 3 END", None),
        ("-- a comment\n a = 1 /* and another */", "a = 1", None),
    ],
)
def test_the_language_is_written_for_each_engine(text, on_duckdb, on_postgres):
    for engine, expected in (("duckdb", on_duckdb), ("postgres", on_postgres or on_duckdb)):
        sql = ask_result_filter(text, ["a", "b"], engine, {}).sql(engine)
        assert expected is None or sql == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lowr(a) = 'x'", "did you mean lower"),
        ("sum(a) > 1", "--having"),
        ("dayofweek(a) = 1", "isodow"),
        ("left(a) = 'x'", "left(value text, size whole) -> text"),
        ("date_trunc('fortnight', a) = a", "must be one of year"),
        ("substring(a, -2) = 'x'", "right(value, 2)"),
        ("upper(1) = 'x'", "is of type whole, not text"),
        ("a = 1 = b", "put it in parentheses"),
        ("date '2024-02-30' = a", "2024-02-30"),
        ("1 + 1", "not a condition"),
        ("regexp_like(a, '(a{100}){100}')", "repeats too often"),
        ("regexp_like(a, '(?i)a')", "regular expression"),
        ("json_value(a, '$..b') = 'x'", "is not a path"),
        ("lpad(a, b, 'x') = 'x'", "written as a literal"),
    ],
)
def test_a_refusal_says_what_to_write(text, message):
    with pytest.raises(QueryError) as refused:
        ask_result_filter(text, ["a", "b"], "duckdb", {})
    assert message in str(refused.value), refused.value


@pytest.mark.parametrize("text", ["{{x}}", "{% if %}", "{#", "it''s {{ x }}", "}}{{", "{{ Dimension( }}"])
def test_braces_inside_quotes_are_text(text):
    asked = ask_filter(f"{{{{ Dimension('sale__note') }}}} = '{text}'", "duckdb", {})
    assert asked.tree.sql("duckdb") == f"__ref_0 = '{text}'" and len(asked.references) == 1
    assert ask_result_filter(f"a = '{text}'", ["a"], "duckdb", {}).sql("duckdb") == f"a = '{text}'"


def test_braces_outside_of_quotes_are_references_or_refused():
    text = "{{ Dimension('sale__note') }} = 'a'' {{ x }}' and {{ y }}"
    with pytest.raises(QueryError, match="G303 cannot read 'y'"):
        ask_filter(text, "duckdb", {})
    with pytest.raises(QueryError, match=r"G309 .* where a value is not allowed"):
        ask_filter("'{{ Dimension('sale__note') }}' = 'a'", "duckdb", {})


def test_a_text_of_too_many_levels_is_refused_as_that():
    for text in ("not " * 2_000 + "a = 1", "(" * 2_000 + "a" + ")" * 2_000 + " = 1"):
        with pytest.raises(QueryError, match="G341"):
            ask_result_filter(text, ["a"], "duckdb", {})


def test_nested_calls_that_are_written_several_times_do_not_grow_without_bound():
    text = "json_value(" * 40 + "a" + ", '$.a')" * 40
    with pytest.raises(QueryError) as refused:
        ask_result_filter(f"{text} = 'x'", ["a"], "postgres", {})
    assert refused.value.code == "G341"


@pytest.mark.parametrize("dialect", ["snowflake", "bigquery", "redshift", "spark", "trino", "athena", "databricks"])
def test_another_engine_has_only_the_functions_that_it_spells_the_same(dialect):
    text = "lower(a) = 'x' and coalesce(b, 0) > 1 and year(c) = 2024 and b % 2 = 1 and a ilike 'x%' and a = b::text"
    sql = ask_result_filter(text, ["a", "b", "c"], dialect, {}).sql(dialect)
    assert "LOWER(a)" in sql and "COALESCE(b, 0)" in sql and "YEAR" in sql
    with pytest.raises(QueryError) as refused:
        ask_result_filter("split_part(a, ',', 1) = 'x'", ["a"], dialect, {})
    assert refused.value.code == "G327" and "split_part" in str(refused.value)


@pytest.mark.parametrize(
    "dialect", ["duckdb", "postgres", "bigquery", "snowflake", "spark", "redshift", "clickhouse", "trino"]
)
@pytest.mark.parametrize("value", ["x\\", "\\' or 1 = 1 --", "it's", "{", "%s", "a\nb"])
def test_a_text_stays_one_text_in_every_dialect(dialect, value):
    quoted = value.replace("'", "''")
    sql = ask_result_filter(f"a = '{quoted}'", ["a"], dialect, {}).sql(dialect)
    assert parse_one(sql, dialect=dialect).expression.name == value


def test_an_engine_whose_functions_mean_other_things_has_only_operators():
    assert ask_result_filter("a = 'x' and b > 1", ["a", "b"], "clickhouse", {})
    with pytest.raises(QueryError) as refused:  # lower() of ClickHouse knows only ASCII
        ask_result_filter("lower(a) = 'x'", ["a"], "clickhouse", {})
    assert refused.value.code == "G327"
    with pytest.raises(QueryError) as refused:  # a cast of BigQuery's keeps all decimals
        ask_result_filter("cast(a as decimal(10, 2)) = 1", ["a"], "bigquery", {})
    assert refused.value.code == "G327"


# Every function that an engine has.


def accepted(name, engine):
    """The SQL of the calls of this name that are accepted, with many kinds of arguments."""
    texts = ["", "a", "a, a", "a, a, a", "a, 1", "a, 'x'", "'day', a", "'day', a, a", "a, '$.x'", "a, 1, 'x'", "'x', a"]
    for text in texts:
        try:
            yield ask_result_filter(f"{name}({text}) is null", ["a"], engine, {}).sql(engine)
        except QueryError as error:
            assert error.code in ("G340", "G308", "G309"), error
            if "there is no function" in error.message:
                return


CATALOGS = {
    "duckdb": "SELECT DISTINCT function_name FROM duckdb_functions()",
    "postgres": "SELECT DISTINCT proname FROM pg_proc",
}
EFFECTS = {
    "duckdb": "SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability = 'VOLATILE' OR "
    "function_type IN ('aggregate', 'table', 'table_macro', 'pragma')",
    "postgres": "SELECT DISTINCT proname FROM pg_proc WHERE provolatile = 'v' OR prokind <> 'f' OR proretset",
}
SCALAR = {
    "duckdb": "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type IN ('scalar', 'macro') "
    "AND stability IS DISTINCT FROM 'VOLATILE'",
    "postgres": "SELECT DISTINCT proname FROM pg_proc WHERE provolatile <> 'v' AND prokind = 'f' AND NOT proretset",
}


@pytest.mark.parametrize("engine", ENGINES)
def test_of_all_functions_of_an_engine_only_those_of_the_table_can_be_called(engines, engine):
    names = {name for (name,) in engines[engine](CATALOGS[engine]) if re.fullmatch(r"\w+", name)}
    assert len(names) > 600
    passed = {name: [*accepted(name, engine)] for name in sorted(names)}
    passed = {name: calls for name, calls in passed.items() if calls}
    assert passed.keys() <= BY_NAME.keys()
    written_names = {word.lower() for calls in passed.values() for sql in calls for word in re.findall(r"(\w+)\(", sql)}
    effects = {name for (name,) in engines[engine](EFFECTS[engine])}
    pure = {name for (name,) in engines[engine](SCALAR[engine])}
    assert (written_names & effects) - pure == set()


@pytest.mark.parametrize("unit", [*UNITS, "months", "MONTH"])
def test_units_may_be_written_in_capitals_and_in_the_plural(unit):
    sql = ask_result_filter(f"date_trunc('{unit}', a) = a", ["a"], "duckdb", {}).sql("duckdb")
    assert sql.startswith(f"DATE_TRUNC('{unit.lower().removesuffix('s')}', ")
