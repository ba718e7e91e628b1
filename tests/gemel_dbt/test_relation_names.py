"""Tables by the names that dbt writes, on every adapter, and generated SQL by dbt's versions."""

import json

import pytest

from gemel.cli import main
from gemel.compiler.compiled import Context, compile_query
from gemel.compiler.names.graph import bind
from gemel.compiler.question.parsing import make_query
from gemel.dbt.manifest import parse_project
from gemel.dbt.relations import split_name
from gemel.dbt.semantic.reading import read_manifest
from gemel.errors import DefinitionError
from gemel.spec.manifest import Relation


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("ANALYTICS.DBT_ME_analytics.t", [("ANALYTICS", False), ("DBT_ME_analytics", False), ("t", False)]),
        ('"db"."a.b"."T ""x"""', [("db", True), ("a.b", True), ('T "x"', True)]),
        ("`my-project`.`ds`.`t`", [("my-project", True), ("ds", True), ("t", True)]),
        ("`my-project.ds.t`", [("my-project", True), ("ds", True), ("t", True)]),
        ("my-project.ds.t", [("my-project", False), ("ds", False), ("t", False)]),
        ("[db].[dbo].[t]", [("db", True), ("dbo", True), ("t", True)]),
        ("read_parquet('a.parquet')", []),
        ("'data/a.csv'", []),
        ('"db".', []),
        ("", []),
    ],
)
def test_a_name_has_parts_with_and_without_quotes(name, parts):
    assert list(split_name(name)) == parts


def semantic(relation_name, database="ANALYTICS", schema="DBT_ME_analytics", alias="orders"):
    relation = {"alias": alias, "schema_name": schema, "database": database, "relation_name": relation_name}
    return {
        "name": "orders",
        "node_relation": relation,
        "defaults": {"agg_time_dimension": "ordered_at"},
        "entities": [{"name": "order", "type": "primary", "expr": "id"}],
        "dimensions": [{"name": "ordered_at", "type": "time", "type_params": {"time_granularity": "day"}}],
        "measures": [{"name": "amount", "agg": "sum"}],
    }


REVENUE = {"name": "revenue", "type": "simple", "type_params": {"measure": {"name": "amount"}}}


@pytest.mark.parametrize(
    ("dialect", "written", "read"),
    [
        # As each adapter's quoting has it, and with `quoting:` of a project.
        ("snowflake", "ANALYTICS.DBT_ME_analytics.orders", "ANALYTICS.DBT_ME_analytics.orders"),
        ("snowflake", '"ANALYTICS"."Dbt.Me"."orders"', '"ANALYTICS"."Dbt.Me"."orders" AS orders'),
        ("bigquery", "`my-project`.`ds`.`orders`", "`my-project`.ds.orders"),
        ("bigquery", "my-project.ds.orders", "my-project.ds.orders"),
        ("databricks", "`main`.`dbt_me`.`orders`", "main.dbt_me.orders"),
        ("databricks", "`prod-cat`.`dbt_me`.`orders`", "`prod-cat`.dbt_me.orders"),
        ("spark", "dbt_me.orders", "dbt_me.orders"),
        ("clickhouse", "`dbt_me`.`orders`", "dbt_me.orders"),
        ("postgres", '"db"."Dbt_Me"."orders"', 'db."Dbt_Me".orders'),
        ("postgres", '"db"."dbt_me".Orders', "db.dbt_me.Orders AS orders"),
        ("redshift", '"db"."dbt_me"."orders"', "db.dbt_me.orders"),
        ("trino", '"cat"."dbt_me"."orders"', "cat.dbt_me.orders"),
        ("athena", '"awsdatacatalog"."dbt_me"."orders"', "awsdatacatalog.dbt_me.orders"),
        ("duckdb", '"shop"."main"."orders"', "shop.main.orders"),
        ("duckdb", '"my-shop"."main"."orders"', '"my-shop".main.orders'),
    ],
)
def test_a_query_reads_the_table_by_dbts_own_name(dialect, written, read):
    graph = bind(read_manifest({"semantic_models": [semantic(written)], "metrics": [REVENUE]}), dialect)
    sql = compile_query(graph, make_query(["revenue"]), Context.naming(dialect)).sql
    assert f"FROM {read}\n" in f"{sql}\n"


def test_in_another_engine_a_table_has_the_same_name_with_its_quotes():
    graph = bind(read_manifest({"semantic_models": [semantic('"shop"."Main"."orders"', "shop", "Main")]}))
    assert graph.models["orders"].relation == Relation("orders", "Main", "shop")
    graph = bind(
        read_manifest({"semantic_models": [semantic('"s"."Main"."orders"', "s", "Main")], "metrics": [REVENUE]})
    )
    sql = compile_query(graph, make_query(["revenue"]), Context.elsewhere("bigquery")).sql
    assert "FROM s.`Main`.orders" in sql


def test_a_snowflake_project_is_explained_with_dbts_table_names(tmp_path, capsys):
    """Without adapter or profile: dbt's artifacts alone."""
    (tmp_path / "dbt_project.yml").write_text("name: shop\nprofile: shop\nmodel-paths: [models]\n")
    (tmp_path / "target").mkdir()
    written = "ANALYTICS.DBT_ME_analytics.orders"
    content = {"semantic_models": [semantic(written)], "metrics": [REVENUE], "saved_queries": []}
    (tmp_path / "target/semantic_manifest.json").write_text(json.dumps(content))
    node = {"resource_type": "model", "name": "orders", "package_name": "shop", "relation_name": written}
    manifest = {
        "metadata": {"project_name": "shop", "adapter_type": "snowflake"},
        "nodes": {"model.shop.orders": node | {"schema": "DBT_ME_analytics", "database": "ANALYTICS"}},
    }
    (tmp_path / "target/manifest.json").write_text(json.dumps(manifest))
    asked = ["query", "-m", "revenue", "-g", "metric_time__month", "--explain", "--project-dir", str(tmp_path)]
    for more in ([], ["--dialect", "snowflake"]):
        assert main([*asked, *more]) == 0
        assert f"FROM {written}\n" in capsys.readouterr().out


# --- versions -------------------------------------------------------------------------------------------------


def parcels(*models):
    """A project with two versions of a dbt model, of which the first is the latest, and semantic models over it."""
    nodes = {
        f"model.shop.parcels.v{version}": {
            "resource_type": "model",
            "name": "parcels",
            "package_name": "shop",
            "version": version,
            "latest_version": 1,
            "alias": f"parcels_v{version}",
            "schema": "main",
            "database": "shop",
        }
        for version in (1, 2)
    }
    semantic_models = {
        f"semantic_model.shop.{name}": {
            "name": name,
            "original_file_path": "models/parcels.yml",
            "refs": [{"name": "parcels", "package": None, "version": pinned}],
            "depends_on": {"nodes": [f"model.shop.parcels.v{version}"]},
        }
        for name, version, pinned in models
    }
    return parse_project({"metadata": {"project_name": "shop"}, "nodes": nodes, "semantic_models": semantic_models})


FIRST, SECOND = Relation("parcels_v1", "main", "shop"), Relation("parcels_v2", "main", "shop")


def test_generated_sql_follows_dbts_versions_as_the_definition_does():
    assert parcels(("sent", 1, None)).ref(FIRST) == "ref('parcels')"
    assert parcels(("sent", 1, 1)).ref(FIRST) == "ref('parcels', v=1)"
    both = parcels(("sent", 1, None), ("new", 2, 2))
    assert (both.ref(FIRST), both.ref(SECOND)) == ("ref('parcels')", "ref('parcels', v=2)")


def test_a_version_that_one_definition_pins_and_another_follows_is_refused():
    with pytest.raises(DefinitionError, match="G132 semantic model 'pinned' pins version 1 of dbt model 'parcels'"):
        parcels(("sent", 1, None), ("pinned", 1, 1)).ref(FIRST)
