"""Filters come from whoever asks: what they may call, and what not."""

import duckdb
import pytest

from gemel.compiler.names.keys import make_having
from gemel.compiler.question.expressions import parse_expression, parse_filter
from gemel.compiler.question.functions import find_forbidden
from gemel.errors import QueryError

REACHING = """\
getenv('HOME') read_text('/etc/passwd') read_blob('f') read_csv('f') read_csv_auto('f') read_parquet('f')
read_json('f') glob('*') query('drop_table') query_table('t') current_setting('threads') nextval('s') currval('s')
pg_sleep(9) sleep_ms(9) duckdb_settings() error('x') txid_current() sql_auto_complete('s')
json_execute_serialized_sql('{}') write_log('x') getvariable('x') setseed(1) version() current_user() session_user
current_schema() current_database() main.getvariable('x') system.main.nextval('s') 'f'.read_text() "GetVariable"('x')
list_transform([1],x->x+1) COLUMNS('a.*') generate_series(1,1000000000) unnest([1])
row_number()over() entropy(1) count_star()""".split()  # noqa: SIM905


@pytest.mark.parametrize("call", REACHING)
def test_a_filter_or_result_filter_that_reaches_outside_the_row_is_refused(call):
    with pytest.raises(QueryError) as refused:
        parse_filter(f"{{{{ Entity('customer') }}}} = {call}")
    assert refused.value.code in ("G340", "G308"), refused.value
    with pytest.raises(QueryError) as refused:
        make_having(f"revenue = {call}", ["revenue"])
    assert refused.value.code == "G340", refused.value


@pytest.mark.parametrize("call", ["sum(revenue)", "#1", "max(revenue) over ()"])
def test_a_result_filter_cannot_compute_over_rows_or_speak_of_columns_by_number(call):
    with pytest.raises(QueryError) as refused:
        make_having(f"{call} > 2", ["revenue"])
    assert refused.value.code == "G340"


ORDINARY = [
    "date_trunc('month', a) = '2024-01-01'",
    "coalesce(a, 'x') = lower('X')",
    "regexp_matches(a, '^b')",
    "a::timestamp > '2024-01-01'::timestamp - interval 3 day",
    "cast(a as date) between current_date - 7 and current_date",
    "extract(year from a) in (2023, 2024)",
    "case when a like 'b%' then 1 else 0 end = 1",
    "a ilike '%x%' or a similar to 'y.*' or a is distinct from 'z'",
    "abs(round(a, 2)) >= greatest(1, least(2, 3))",
    "strftime(a, '%Y') || left(a, 2) = replace(a, 'x', 'y')",
    "json_extract_string(a, '$.b') = 'c'",
    "list_contains(['x', 'y'], a) and array_length(string_split(a, ',')) > 1",
    "now() > a and today() > a and dayname(a) = 'Monday'",
    "typeof(a) = 'DATE' and hash(a) % 100 < 5 and random() < 0.5",
    "a[1] = 'x' and position('x' in a) > 0",
    "date_diff('day', a, current_date) < 7 and time_bucket(interval 1 week, a) is not null",
    "timezone('UTC', a) = a at time zone 'UTC'",
    "repeat('x', 3) = a and trim(a) = try_cast(a as varchar)",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_functions_of_a_row_stay(text):
    assert find_forbidden(parse_expression(text)) is None


def names(condition):
    found = duckdb.sql(f"select distinct function_name from duckdb_functions() where {condition}").fetchall()
    return {name for (name,) in found if name.isidentifier()}


def allowed(name):
    for arguments in ("1", "", "1, 2", "1, 2, 3"):
        try:
            return find_forbidden(parse_expression(f"{name}({arguments})")) is None
        except ValueError:
            continue
    return False


def test_of_duckdbs_functions_with_an_effect_only_chance_is_allowed():
    volatile = names("function_type in ('scalar', 'macro') and stability = 'VOLATILE'")
    chance = {"random", "uuid", "uuidv4", "uuidv7", "gen_random_uuid"}
    assert {name for name in volatile if allowed(name)} <= chance


def test_of_duckdbs_table_functions_and_aggregates_none_is_allowed_but_where_a_scalar_has_the_name():
    many = names("function_type in ('aggregate', 'table', 'table_macro')")
    scalar = names("function_type in ('scalar', 'macro')")
    assert {name for name in many - scalar if allowed(name)} == set()


def test_a_definition_may_call_any_scalar_function():
    assert parse_expression("getvariable('rate') * amount").sql("duckdb") == "GETVARIABLE('rate') * amount"
