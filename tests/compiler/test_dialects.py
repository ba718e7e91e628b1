"""SELECTs as texts of an engine."""

import pytest
from sqlglot import exp

from compiler.shop import flat, sql
from gemel.compiler.accents import WITHOUT_FILTER
from gemel.compiler.dialects import named, referred, speak
from gemel.errors import QueryError
from gemel.spec.manifest import Relation

FLIGHTS = Relation("flights", "marts", "warehouse", "flights")


def test_duckdb_takes_a_filter_clause():
    assert "COUNT(*) FILTER (WHERE orders.status = 'done')" in flat(sql("orders done_orders"))


@pytest.mark.parametrize("dialect", sorted(WITHOUT_FILTER))
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


def test_division_is_never_an_integers():
    text = flat(sql("revenue_per_order", dialect="postgres"))
    assert "CAST(SUM(orders.amount) AS DOUBLE PRECISION) / NULLIF(COUNT(*), 0)" in text


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


def test_dbt_is_asked_by_ref_under_its_own_name():
    assert referred(FLIGHTS).sql("duckdb") == "{{ ref('flights') }}"
    assert referred(Relation("flights_v2", node="flights")).sql("snowflake") == "{{ ref('flights') }}"
    assert referred(Relation("flights")).sql("duckdb") == "{{ ref('flights') }}"
