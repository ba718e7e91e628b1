"""SQL for a warehouse whose adapter and profile are elsewhere: dbt's artifacts suffice."""

import json
import os
import shutil
from pathlib import Path

import duckdb
import pytest

import gemel
from gemel.cli import main
from gemel.dbt.failures import dbt_failure
from worlds.projects import write_project

RECORDED = Path(__file__).parents[1] / "worlds" / "manifests" / "snowflake"
QUERY = ["query", "--metrics", "sales", "--group-by", "metric_time__month", "--explain"]
FILES = {
    "dbt_project.yml": "name: shop\nprofile: shop\nmodel-paths: [models]\n",
    "models/days.sql": "select current_date as day",
    "models/sales.sql": "{{ config(schema='analytics') }}\nselect 1 as id, current_date as sold_at\n",
    "models/sales.yml": """
        semantic_models:
          - name: sales
            model: ref('sales')
            defaults: {agg_time_dimension: sold_at}
            entities: [{name: sale, type: primary, expr: id}]
            dimensions: [{name: sold_at, type: time, type_params: {time_granularity: day}}]
            measures: [{name: sales, agg: count, expr: id, create_metric: true}]
        models:
          - name: days
            time_spine: {standard_granularity_column: day}
            columns: [{name: day, granularity: day}]
    """,
}
PROFILE = "shop: {target: dev, outputs: {dev: {type: snowflake, database: ANALYTICS, schema: DBT_ME, account: a}}}"


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """The project without profile, and with the artifacts that dbt wrote elsewhere."""
    monkeypatch.setenv("HOME", str(tmp_path))
    root = write_project(tmp_path / "shop", FILES)
    shutil.copytree(RECORDED, root / "target")
    (root / "target/semantic_manifest.json").touch()
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def run(capsys):
    def run(*command):
        code = main(command)
        out, err = capsys.readouterr()
        return code, " ".join(out.split()), err

    return run


def test_sql_for_a_warehouse_needs_only_dbts_artifacts(shop, run):
    for more in ((), ("--dialect", "snowflake")):
        code, sql, said = run(*QUERY, *more)
        assert (code, said) == (0, "")
        assert sql.startswith("SELECT DATE_TRUNC('MONTH', sales.sold_at) AS metric_time__month, COUNT(sales.id)")
        assert "DBT_ME_analytics" in sql
    assert run("list", "metrics")[0] == run("generate", "--check")[0] == 0
    code, _, said = run("validate")
    assert code == 0 and "warning G604 there is no profiles.yml in" in said
    assert said.endswith("1 metric, 0 saved queries, 0 feature views: 1 warning (the database was not queried)\n")


@pytest.mark.parametrize(("profile", "why"), [(None, "there is no profiles.yml in"), (PROFILE, "dbt has no adapter")])
def test_stale_artifacts_are_used_where_dbt_cannot_run(shop, run, profile, why):
    if profile:
        (shop / "profiles.yml").write_text(profile)
    os.utime(shop / "target/semantic_manifest.json", (0, 0))
    code, sql, said = run(*QUERY)
    assert code == 0 and "DBT_ME_analytics" in sql
    stale = "target/semantic_manifest.json is older than the definitions, and is used as it is: "
    assert said.startswith(stale + why) and said.count("\n") == 1


def test_without_artifacts_the_error_names_the_files_to_bring(shop, run):
    shutil.rmtree(shop / "target")
    files = "bring manifest.json and semantic_manifest.json from where dbt runs into target/, or to a folder that"
    code, _, said = run(*QUERY)
    assert code == 1 and said.startswith(f"G604 there is no profiles.yml in {shop} or ") and files in said
    (shop / "profiles.yml").write_text(PROFILE)
    code, _, said = run(*QUERY)
    assert code == 1 and "G603 dbt has no adapter for snowflake, the type of target 'dev'" in said
    assert "`pip install dbt-snowflake`" in said and files in said


def test_a_folder_of_artifacts_is_read_as_it_is_with_a_project_or_without(shop, run, tmp_path, monkeypatch):
    brought = shutil.move(shop / "target", tmp_path / "brought")
    code, sql, said = run(*QUERY, "--artifacts", str(brought))
    assert (code, said) == (0, "") and "DBT_ME_analytics" in sql
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert run(*QUERY, "--artifacts", str(brought))[:2] == (0, sql)
    assert gemel.load(artifacts=brought).session.dialect == "snowflake"
    assert run("validate", "--artifacts", str(brought))[0] == 0
    code, _, said = run(*QUERY, "--artifacts", ".")
    assert code == 1 and said.startswith("G601 there is no manifest.json and no semantic_manifest.json in ")


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("Env var required but not provided: 'SHOP_RATE'", "set the environment variable SHOP_RATE"),
        ("Could not find adapter type exasol!", "`pip install dbt-exasol`"),
        (
            "This version of dbt is not supported with the 'shop' package.\n  Installed version of dbt: =1.11.16\n"
            "  Required version of dbt for 'shop': ['>=1.12.0']\n  Check",
            "gemel runs the dbt of its own environment, 1.11.16; shop requires '>=1.12.0': install such a dbt-core",
        ),
    ],
)
def test_hints_by_cause(shop, said, hint):
    log = json.dumps({"data": {"exc": said}, "info": {"level": "error", "msg": said}})
    assert hint in dbt_failure("parse", log, "", 2, shop).hint


# --- tables and columns that are not there ----------------------------------------------------------------------


def artifacts_on_duckdb(shop, **node):
    """The same artifacts as of DuckDB, with other properties of the model `sales`."""
    for name in ("manifest.json", "semantic_manifest.json"):
        text = (shop / "target" / name).read_text()
        text = text.replace('"snowflake"', '"duckdb"').replace("ANALYTICS", "shop").replace("DBT_ME_analytics", "main")
        content = json.loads(text.replace("DBT_ME", "main"))
        content.get("nodes", {}).get("model.shop.sales", {}).update(node)
        (shop / "target" / name).write_text(json.dumps(content))
    (shop / "profiles.yml").write_text("shop: {target: dev, outputs: {dev: {type: duckdb, path: shop.duckdb}}}")
    return duckdb.connect(str(shop / "shop.duckdb"))


ASK = ("query", "--metrics", "sales")


def test_a_table_that_is_not_built_is_told_as_such(shop, run):
    artifacts_on_duckdb(shop).close()
    for command in (ASK, ("validate",)):
        code, _, said = run(*command)
        assert code == 1 and "G405 the table shop.main.sales cannot be read: Table with name sales" in said
        assert "hint: `dbt build --select +sales` builds it, and what it reads" in said


def test_a_column_is_told_with_its_table_and_the_definition_that_reads_it(shop, run):
    with artifacts_on_duckdb(shop) as con:
        con.execute("CREATE TABLE sales AS SELECT 1 AS sale_id, DATE '2024-01-01' AS sold_at")
    code, _, said = run(*ASK)
    assert code == 1
    assert said.startswith("models/sales.yml:") and 'G406 Table "sales" does not have a column named "id"' in said
    assert "of semantic model 'sales' reads shop.main.sales)" in said


def test_an_ephemeral_model_is_named(shop, run):
    artifacts_on_duckdb(shop, config={"materialized": "ephemeral"}).close()
    for command in (ASK, ("validate",), ("validate", "--skip-dw")):
        code, _, said = run(*command)
        assert code == 1 and "G169 model 'sales' is ephemeral: it has no table" in said
