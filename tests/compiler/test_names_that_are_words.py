"""Definitions that are named like words of SQL: each is the column of its name, on DuckDB and on PostgreSQL."""

import duckdb
import psycopg
import pytest

from gemel.compiler.compiled import Context, compile_query
from gemel.compiler.names.graph import bind
from gemel.compiler.question.query import Item, Query, QueryMetric
from gemel.dbt.semantic.reading import read_manifest
from gemel.spec.columns import ColumnName
from gemel.spec.time import GRAINS
from worlds.postgres import own_name, own_schema

FUNCTIONS = "current_database current_query version rownum rowid level sysdate systimestamp getdate user ctid value"


def test_a_definition_without_sql_is_a_column():
    [_, model] = read_manifest(definitions(["current_user"])).models
    assert isinstance(model.dimensions[-1].expr, ColumnName)


@pytest.fixture(scope="module")
def words(needs_postgres):
    """Every word that one of the engines treats in a special way, and functions that need no brackets."""
    words = {word for (word,) in duckdb.sql("select keyword_name from duckdb_keywords()").fetchall()}
    with psycopg.connect(needs_postgres) as connection:
        words |= {word for (word,) in connection.execute("select word from pg_get_keywords()").fetchall()}
    return sorted(words | set(FUNCTIONS.split()))


def definitions(words):
    """A model with a dimension, an entity, a measure and a metric for each word, without `expr`."""
    return {
        "semantic_models": [
            {
                "name": part,
                "defaults": {"agg_time_dimension": "sold_at"},
                "node_relation": {"alias": "words", "schema_name": None, "database": None, "relation_name": ""},
                "primary_entity": None,
                "entities": [{"name": f"{part}_key", "type": "primary", "expr": "row_key"}, *entities],
                "dimensions": [
                    {"name": "sold_at", "type": "time", "type_params": {"time_granularity": "day"}},
                    *dimensions,
                ],
                "measures": measures,
            }
            for part, entities, dimensions, measures in (
                ("keys", [{"name": word, "type": "foreign"} for word in words], [], []),
                (
                    "facts",
                    [],
                    [{"name": word, "type": "categorical"} for word in words],
                    [{"name": word, "agg": "sum"} for word in words],
                ),
            )
        ],
        "metrics": [{"name": word, "type": "simple", "type_params": {"measure": {"name": word}}} for word in words],
    }


def table(words):
    """One row: each column has the number of its word."""
    columns = ", ".join(f'{place} AS "{word}"' for place, word in enumerate(words))
    return f"CREATE TABLE words AS SELECT 1 AS row_key, CAST('2024-01-01' AS DATE) AS sold_at, {columns}"


def wrong_answers(words, dialect, run):
    graph = bind(read_manifest(definitions(words)), dialect)
    wrong = {}
    for place, word in enumerate(words):
        by_dimension = Query(
            metrics=(QueryMetric(word),),
            group_by=() if word in GRAINS else (Item(("facts_key", word), alias="word_of_row"),),
        )
        by_entity = Query(group_by=(Item((word,)),))
        where = f"{{{{ Dimension('facts_key__{word}') }}}} = {place}"
        filtered = Query(metrics=(QueryMetric(word),), where=() if word in GRAINS else (where,))
        for query in (by_dimension, by_entity, filtered):
            try:
                rows = run(compile_query(graph, query, Context.naming(dialect)).sql)
            except Exception as error:
                rows = str(error)
            if rows not in ([(place,)], [(place, place)]):
                wrong[word, query] = rows
    return wrong


def test_on_duckdb_every_word_is_the_column_of_that_name(words):
    with duckdb.connect() as connection:
        connection.execute(table(words))
        assert wrong_answers(words, "duckdb", lambda sql: connection.execute(sql).fetchall()) == {}


def test_on_postgresql_every_word_is_the_column_of_that_name(words, needs_postgres):
    columns = [word for word in words if word != "ctid"]  # PostgreSQL's own column
    with own_schema(needs_postgres, own_name("words")) as schema:
        schema.connection.execute(f"SET search_path = {schema.name}")
        schema.connection.execute(table(columns))
        assert wrong_answers(columns, "postgres", lambda sql: schema.connection.execute(sql).fetchall()) == {}
