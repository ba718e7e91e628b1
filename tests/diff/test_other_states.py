"""A directory as BASE, models that only dbt can render, and models whose numbers cannot be computed in a question."""

import json
import shutil
from types import SimpleNamespace

import pytest

from gemel.cli import main
from worlds.projects import run_dbt, write_project
from worlds.sales_project import BASE

FILES = BASE | {
    "models/raw.sql": """
        {{ config(materialized='table') }}
        select * from (values
            (1, 'a', 10, date '2024-01-02'), (2, 'b', 20, date '2024-01-02'), (3, null, 5, date '2024-02-01')
        ) as sales (sale_id, region, amount, sold_at)
    """,
    "models/sales.sql": """
        {{ config(materialized='view') }}
        select sale_id, upper(region) as region, amount, {{ dbt.safe_cast('sold_at', 'timestamp') }} as sold_at
        from {{ ref('raw') }} where amount > 5
    """,
    "models/log.sql": """
        {{ config(materialized='incremental') }}
        select sale_id, amount as logged, sold_at from {{ ref('raw') }}
    """,
    "models/days.sql": "select unnest(generate_series(date '2024-01-01', date '2024-03-31', interval 1 day)) as day",
    "models/models.yml": """
        semantic_models:
          - name: sales
            model: ref('sales')
            defaults: {agg_time_dimension: sold_at}
            entities: [{name: sale, type: primary, expr: sale_id}]
            dimensions:
              - {name: sold_at, type: time, type_params: {time_granularity: day}}
              - {name: region, type: categorical}
            measures: [{name: revenue, agg: sum, expr: amount}]
          - name: log
            model: ref('log')
            defaults: {agg_time_dimension: sold_at}
            entities: [{name: entry, type: primary, expr: sale_id}]
            dimensions: [{name: sold_at, type: time, type_params: {time_granularity: day}}]
            measures: [{name: logged, agg: sum}]
        metrics:
          - {name: revenue, label: Revenue, type: simple, type_params: {measure: revenue}}
          - {name: logged, label: Logged, type: simple, type_params: {measure: logged}}
        exposures:
          - {name: board, type: dashboard, owner: {name: Ada}, depends_on: [ref('sales')]}
    """,
}


@pytest.fixture(scope="module")
def projects(tmp_path_factory):
    """The same project in two folders; only the database of the one at hand is built."""
    both = [write_project(tmp_path_factory.mktemp(name), FILES) for name in ("before", "now")]
    run_dbt(both[1], "run")
    for name, old, new in (("sales", "amount > 5", "amount > 0"), ("log", "amount as logged", "amount * 2 as logged")):
        file = both[1] / f"models/{name}.sql"
        file.write_text(file.read_text().replace(old, new))
    return both


@pytest.fixture
def diff(projects, monkeypatch, capsys):
    """`gemel diff` with the other folder: `.code`, `.out` and `.err`."""
    monkeypatch.chdir(projects[1])

    def run(*arguments, base=str(projects[0])):
        code = main(["diff", base, *arguments])
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return run


def test_a_directory_is_a_base_and_an_exposure_is_touched_by_a_model(diff):
    result = diff("--format", "json")
    assert result.code == 0, result.err
    changes = {(each["change"], each["kind"], each["name"]) for each in json.loads(result.out)["changes"]}
    assert changes == {
        ("changed", "model", "sales"),
        ("changed", "model", "log"),
        ("touched", "metric", "revenue"),
        ("touched", "metric", "logged"),
        ("touched", "exposure", "board"),
    }


def test_what_only_dbt_can_render_is_compiled_and_nothing_is_written(diff, projects):
    database = projects[1] / "shop.duckdb"
    held = database.read_bytes()
    result = diff("-m", "revenue", "-g", "sale__region", "--format", "json")
    assert result.code == 0, result.err
    assert result.err.count("running dbt compile of sales") == 2
    [moved] = json.loads(result.out)["numbers"]
    assert (moved["groups"], moved["moved"], moved["appeared"], moved["gone"]) == (3, 1, 1, 0)
    assert moved["examples"] == [
        {"group": {"sale__region": None}, "before": None, "after": 5.0, "difference": None, "relative": None}
    ]
    assert database.read_bytes() == held
    assert not (projects[0] / "shop.duckdb").exists()
    result = diff("-m", "revenue", "-g", "sale__region", "--max-change", "99%", "-q")
    assert (result.code, "from or to no value in 1 group" in result.err) == (1, True)


def test_an_incremental_model_is_refused_with_the_reason_and_a_way_out(diff, projects, tmp_path):
    result = diff("-m", "logged")
    assert result.code == 1
    assert (
        "G763 model 'log' differs between the states, and cannot be computed in a query: it is built incrementally"
        in result.err
    )
    assert "--base-database FILE" in result.err
    built = tmp_path / "built.duckdb"
    shutil.copy(projects[1] / "shop.duckdb", built)
    result = diff("-m", "logged", "--base-database", str(built), "--format", "json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["numbers"][0]["moved"] == 0  # both were built by the same state


def test_a_saved_target_folder_has_models_and_says_what_it_lacks(diff, projects, tmp_path):
    saved = tmp_path / "target"
    saved.mkdir()
    for name in ("semantic_manifest.json", "manifest.json"):
        shutil.copy(projects[0] / "target" / name, saved / name)
    result = diff("--format", "json", base=str(saved))
    assert result.code == 0, result.err
    changes = {(each["change"], each["kind"], each["name"]) for each in json.loads(result.out)["changes"]}
    assert ("changed", "model", "sales") in changes and ("touched", "metric", "revenue") in changes
    result = diff("-m", "revenue", base=str(saved))
    assert (result.code, result.err.count("G763")) == (1, 1)
    assert "has no compiled SQL of sales" in result.err
