"""SELECTs as texts of an engine."""

import pytest
from sqlglot import exp, parse_one

from gemel.compiler.sql import dialects
from gemel.compiler.sql.dialects import engine_of, named, speak_apart
from gemel.engines.lookup import all_engines
from gemel.engines.rewrites import filter_to_case
from gemel.errors import QueryError
from gemel.spec.manifest import Relation
from worlds.shop import flat, sql

FLIGHTS = Relation("flights", "marts", "warehouse")


def speak(select, dialect):
    return dialects.speak(select, engine_of(dialect))


def test_duckdb_takes_a_filter_clause():
    assert "COUNT(*) FILTER (WHERE orders.status = 'done')" in flat(sql("orders done_orders"))


@pytest.mark.parametrize("dialect", [each.dialect for each in all_engines() if filter_to_case in each.rewrites])
def test_an_engine_without_a_filter_clause_gets_a_case_inside_the_aggregate(dialect):
    text = flat(sql("orders done_orders done_priced buyers gold_orders", dialect=dialect))
    assert "FILTER" not in text
    assert "COUNT(CASE WHEN orders.status = 'done' THEN 1 END)" in text.replace("`", "").replace("COUNT_BIG", "COUNT")


def test_a_case_inside_a_distinct_count_passes_over_what_is_filtered_out():
    select = exp.select(
        exp.Filter(
            this=exp.Count(this=exp.Distinct(expressions=[exp.column("customer")])),
            expression=exp.Where(this=exp.column("late")),
        )
    )
    assert flat(speak(select, "snowflake")) == "SELECT COUNT(DISTINCT CASE WHEN late THEN customer END)"


def test_a_text_of_two_lines_is_the_same_text_in_a_filter_and_a_group():
    """Moved in with the lines around it, it would be equal to nothing that is stored."""
    inner = "SELECT SUM(x) FILTER (WHERE note = 'late\nagain') AS n FROM a GROUP BY COALESCE(note, 'no\nnote')"
    text = speak(parse_one(f"WITH b AS ({inner}) SELECT n FROM b", dialect="duckdb"), "duckdb")
    assert "'late\nagain'" in text
    assert "'no\nnote'" in text


@pytest.mark.parametrize(
    "outputs",
    [
        "a",
        "a, b AS c, 'two\nlines' AS d, b = 'two\nlines' AS e",
        "CASE WHEN a = 1 THEN 'one' WHEN a = 2 THEN 'two\nlines' ELSE 'more' END AS f",
        "SUM(a) FILTER (WHERE b = 'x') AS g, a",
        "COALESCE(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, "
        "cccccccccccccccccccccccccccccccccccccccc, 'two\nlines') AS h, a AS i",
    ],
)
def test_a_select_said_apart_from_its_outputs_is_the_same_text_with_and_without_types(outputs):
    cte = "WITH t AS (SELECT a, SUM(b) FILTER (WHERE c = 'x') AS b FROM u GROUP BY a)"
    text = f"{cte} SELECT {outputs} FROM t WHERE a > 1"
    cast = parse_one(text, dialect="duckdb")
    for output in cast.selects:
        value = exp.cast(output.unalias().copy(), "DOUBLE")
        output.replace(exp.alias_(value, output.alias_or_name))
    frame, apart = speak_apart(parse_one(text, dialect="duckdb"), engine_of("duckdb"))
    assert frame.filled(apart) == speak(parse_one(text, dialect="duckdb"), "duckdb")
    typed = [exp.alias_(exp.cast(each.unalias(), "DOUBLE"), each.alias_or_name) for each in apart]
    assert frame.filled(typed) == speak(cast, "duckdb")


def test_division_is_never_an_integers():
    text = flat(sql("revenue_per_order", dialect="postgres"))
    assert "CAST(SUM(orders.amount) AS DOUBLE PRECISION) / NULLIF(COUNT(*), 0)" in text


@pytest.mark.parametrize("dialect", ["databricks", "spark"])
def test_an_exact_percentile_stays_exact_in_spark(dialect):
    select = exp.select(
        exp.PercentileCont(this=exp.column("delay"), expression=exp.Literal.number("0.9")),
        exp.PercentileDisc(this=exp.column("delay"), expression=exp.Literal.number("0.5")),
    )
    assert flat(speak(select, dialect)) == (
        "SELECT PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY delay), PERCENTILE_DISC(0.5) WITHIN GROUP (ORDER BY delay)"
    )


@pytest.mark.parametrize(
    ("condition", "snowflake"),
    [
        ("late IS TRUE", "COALESCE(late, FALSE)"),
        ("late IS NOT TRUE", "NOT COALESCE(late, FALSE)"),
        ("late IS FALSE", "COALESCE(NOT late, FALSE)"),
        ("(late IS TRUE) IS NOT FALSE", "NOT COALESCE(NOT ( COALESCE(late, FALSE) ), FALSE)"),
        ("late IS NULL", "late IS NULL"),
    ],
)
def test_is_true_says_something_of_a_missing_value_where_an_engine_has_no_is_true(condition, snowflake):
    select = exp.select("1").from_("flights").where(parse_one(condition, dialect="duckdb"))
    assert flat(speak(select.copy(), "snowflake")) == f"SELECT 1 FROM flights WHERE {snowflake}"
    assert "COALESCE" not in speak(select, "duckdb")


def test_an_unknown_dialect_is_refused_with_the_nearest():
    with pytest.raises(QueryError, match="G318 no SQL dialect named 'snowflak'") as error:
        sql("orders", dialect="snowflak")
    assert "snowflake" in error.value.hint
    with pytest.raises(QueryError, match="G318"):
        sql("orders", dialect="")


@pytest.mark.parametrize(
    ("catalogs", "text"),
    [
        (None, "warehouse.marts.flights"),
        (frozenset({"warehouse"}), "warehouse.marts.flights"),
        (frozenset({"memory"}), "marts.flights"),
        (frozenset(), "marts.flights"),
    ],
)
def test_a_database_that_the_connection_does_not_know_is_left_out(catalogs, text):
    assert named(catalogs)(FLIGHTS).sql("duckdb") == text


def test_a_database_without_a_schema_is_left_out():
    assert named()(Relation("flights", None, "warehouse")).sql("duckdb") == "flights"


def test_a_name_that_sql_could_misread_is_quoted():
    assert named()(Relation("Order", "my schema")).sql("duckdb") == '"my schema"."Order"'


def test_clickhouse_counts_with_a_sign_and_names_what_it_joins():
    select = parse_one(
        "SELECT a.x, -COUNT(b.y), COUNT(*) FILTER (WHERE b.y) FROM a JOIN b ON a.x = b.x", dialect="duckdb"
    )
    text = flat(speak(select, "clickhouse"))
    assert "SELECT a.x AS x, -CAST(COUNT(b.y) AS Nullable(Int64))" in text
    assert "CAST(COUNT(*) FILTER(WHERE b.y) AS Nullable(Int64))" in text.replace("FILTER (", "FILTER(")


def test_a_null_has_the_type_that_it_stands_in_for_where_a_union_settles_types_two_by_two():
    branches = " UNION ALL ".join(
        f"SELECT {columns} FROM t{n}"
        for n, columns in enumerate(["x, NULL AS y, NULL AS z", "NULL AS x, y, NULL AS z", "NULL AS x, NULL AS y, z"])
    )
    text = flat(speak(parse_one(branches, dialect="duckdb"), "postgres"))
    assert "( SELECT z FROM ( SELECT NULL AS x, NULL AS y, z FROM t2 ) AS typed LIMIT 0 ) AS z" in text
    assert "SELECT NULL AS x, y, NULL AS z FROM t1" not in text.split("UNION ALL")[1]


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        ("bigquery", "TIMESTAMP_TRUNC(CAST(t.`at` AS DATETIME), DAY) - INTERVAL 1 WEEK"),
        ("trino", "DATE_TRUNC('DAY', CAST(t.at AS TIMESTAMP)) - INTERVAL '7' DAY"),
        ("postgres", "DATE_TRUNC('DAY', CAST(t.at AS TIMESTAMP)) - INTERVAL '1 WEEK'"),
    ],
)
def test_a_week_before_a_day_in_other_words(dialect, expected):
    select = parse_one("SELECT DATE_TRUNC('DAY', CAST(t.at AS TIMESTAMP)) - INTERVAL '1' WEEK FROM t", dialect="duckdb")
    assert expected in flat(speak(select, dialect))


def test_a_date_is_truncated_to_a_time_without_a_zone():
    select = parse_one(
        "SELECT DATE_TRUNC('MONTH', t.day), DATE_TRUNC('DAY', t.day - INTERVAL '1' DAY) FROM t", dialect="duckdb"
    )
    assert flat(speak(select, "postgres")) == (
        "SELECT DATE_TRUNC('MONTH', CAST(t.day AS TIMESTAMP)), DATE_TRUNC('DAY', t.day - INTERVAL '1 DAY') FROM t"
    )
