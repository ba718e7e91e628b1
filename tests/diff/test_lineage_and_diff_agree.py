"""A metric that counts the rows of a model: what `gemel lineage` says it comes of, and which changes `gemel diff` says
touch it, are the same, and are what DuckDB does."""

import json

import pytest

from gemel.dbt.manifest import parse_project
from gemel.dbt.variables import Variables
from gemel.diff.meaning import compare
from gemel.diff.states import State
from gemel.features.binding import Bound
from gemel.graph.building import build
from gemel.session import open_session

SRC = "select id, at_time, tags, other, info, jan, feb from raw.public.src"
COLUMNS = ("id", "at_time", "tags", "other", "info", "jan", "feb")


def definitions(expression):
    measure = {"name": "counted", "agg": "sum", "expr": expression}
    return {
        "semantic_models": [
            {
                "name": "events",
                "node_relation": {"alias": "events", "schema_name": "main", "database": "shop"},
                "defaults": {"agg_time_dimension": "at_time"},
                "entities": [{"name": "event", "type": "primary", "expr": "1"}],
                "dimensions": [{"name": "at_time", "type": "time", "type_params": {"time_granularity": "day"}}],
                "measures": [measure],
            }
        ],
        "metrics": [{"name": "counted", "type": "simple", "type_params": {"measure": {"name": "counted"}}}],
    }


def node(name, sql, *parents):
    return {
        "resource_type": "model",
        "name": name,
        "alias": name,
        "schema": "main",
        "database": "shop",
        "package_name": "shop",
        "relation_name": f'"shop"."main"."{name}"',
        "raw_code": sql,
        "config": {"materialized": "table"},
        "depends_on": {"nodes": [f"model.shop.{parent}" for parent in parents], "macros": []},
        "original_file_path": f"models/{name}.sql",
    }


@pytest.fixture
def state(tmp_path):
    """A project with a model over src and over another one, and one metric."""

    def make(sql, expression="1", src=SRC):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        (folder / "semantic_manifest.json").write_text(json.dumps(definitions(expression)))
        nodes = [
            node("src", src),
            node("u", "select d, e from raw.public.u"),
            node("events", sql, "src", "u"),
        ]
        data = {"nodes": {f"model.shop.{each['name']}": each for each in nodes}, "metadata": {"project_name": "shop"}}
        file = folder / "semantic_manifest.json"
        return State(str(folder), open_session(file), parse_project(data), Bound((), ()))

    return make


def comes_from(state):
    """The columns of src and u that lineage has for the metric."""
    lineage = build(state.session.graph, state.features, state.dbt, Variables({}))
    part = lineage.upstream(*lineage.find("metric:counted"))
    return {node.name for node in part.nodes if node.kind == "column" and node.name.split(".")[0] in ("src", "u")}


def touched_by(state, sql, expression="1"):
    """The columns of src, a change of which touches the metric."""
    touching = set()
    for column in COLUMNS:
        other = state(sql, expression, SRC.replace(column, f"f({column}) as {column}", 1))
        changes = {(each.kind, each.name) for each in compare(state(sql, expression), other)}
        touching |= {f"src.{column}"} if ("metric", "counted") in changes else set()
    return touching


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("select id, at_time, unnest(tags) as tag from {{ ref('src') }}", {"src.at_time", "src.tags"}),
        ("select at_time, tag from {{ ref('src') }}, unnest(tags) as t (tag)", {"src.at_time", "src.tags"}),
        (
            "select s.at_time from {{ ref('src') }} s, lateral (select s.other + 1 as k) as l where k > 1",
            {"src.at_time", "src.other"},
        ),
        (
            "select at_time, id from {{ ref('src') }} except select d, e from {{ ref('u') }}",
            {"src.at_time", "src.id", "u.d", "u.e"},
        ),
        (
            "with b as (select at_time, id from {{ ref('src') }} union select d, e from {{ ref('u') }}) from b",
            {"src.at_time", "src.id", "u.d", "u.e"},
        ),
    ],
    ids=["unnest in a list", "unnest in from", "lateral", "except", "union"],
)
def test_what_decides_how_many_rows_there_are_is_what_a_count_of_them_comes_from(state, sql, columns):
    assert comes_from(state(sql)) == columns
    assert touched_by(state, sql) == {column for column in columns if column.startswith("src.")}


def test_a_count_of_rows_comes_of_no_column_but_those_that_group_them(state):
    sql = "select at_time, count(*) as n from {{ ref('src') }} group by at_time"
    assert comes_from(state(sql, "n")) == {"src.at_time"}
    assert touched_by(state, sql, "n") == {"src.at_time"}


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("select * rename (other as n) from {{ ref('src') }}", {"src.at_time", "src.other"}),
        (
            "select at_time, [v * 2 for v in [jan, feb]] as n from {{ ref('src') }}",
            {"src.at_time", "src.jan", "src.feb"},
        ),
        (
            "with s as (select at_time, {'money': other, 'by': id} as info from {{ ref('src') }}) "
            "select at_time, info.money as n from s",
            {"src.at_time", "src.other"},
        ),
        (
            "from (select at_time, jan, feb, id from {{ ref('src') }}) unpivot (n for month in (jan, feb))",
            {"src.at_time", "src.jan", "src.feb"},
        ),
    ],
    ids=["renamed star", "list comprehension", "struct", "unpivot"],
)
@pytest.mark.parametrize("src", [SRC, "select * from raw.public.src"], ids=["declared", "not declared"])
def test_a_column_comes_of_the_column_that_is_meant_with_and_without_declared_columns(state, sql, columns, src):
    assert comes_from(state(sql, "n", src)) == columns
    if src == SRC:
        assert touched_by(state, sql, "n") == columns
