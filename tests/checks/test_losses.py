"""What dbt 1.12 drops from the manifest of the newer YAML."""

import importlib.metadata
import json
from pathlib import Path

from gemel.cli import main
from gemel.dbt.project_file import locate_definitions
from gemel.dbt.semantic.reading import read_manifest
from gemel.session import Session
from gemel.validation import validate
from worlds.projects import write_project

MANIFESTS = Path(__file__).parents[1] / "worlds" / "manifests"


def lost(tmp_path, manifest, yaml):
    (tmp_path / "dbt_project.yml").write_text("model-paths: [models]\n")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "core.yml").write_text((MANIFESTS / "project" / yaml).read_text())
    read = read_manifest(json.loads((MANIFESTS / f"{manifest}.semantic.json").read_text()))
    findings = validate(Session(read, tmp_path, places=locate_definitions(tmp_path)), skip_dw=True)
    return [str(finding).splitlines()[0] for finding in findings if finding.code == "G158"]


def test_a_fill_that_dbt_loses_is_reported_with_its_place(tmp_path):
    assert lost(tmp_path, "dbt-1.12-newer", "newer.yml") == [
        f"models/core.yml:{line}: warning G158 metric {name!r} has fill_nulls_with, but dbt dropped it from its "
        "manifest: nothing is filled"
        for line, name in [("86:9", "filled_orders"), ("93:9", "sevens")]
    ]


def test_a_fill_that_dbt_keeps_is_not_reported(tmp_path):
    assert lost(tmp_path, "dbt-1.11-legacy", "legacy.yml") == []


NEWER = """
    models:
      - name: days
        time_spine: {standard_granularity_column: day}
        columns: [{name: day, granularity: day}]
      - name: sales
        semantic_model: {enabled: true, name: Sold}
        agg_time_dimension: sold_at
        columns: [{name: sold_at, granularity: day, dimension: {type: time}}, {name: id, entity: {type: primary}}]
        metrics: [{name: revenue, type: simple, agg: sum, expr: amount}]
      - name: unused
        semantic_model: {enabled: false}
"""
FILES = {
    "dbt_project.yml": "name: shop\nprofile: shop\n",
    "profiles.yml": "shop: {target: dev, outputs: {dev: {type: duckdb, path: shop.duckdb}}}",
    "models/sales.sql": "select 1 as id, 1 as amount, date '2024-01-01' as sold_at",
    "models/unused.sql": "select 1 as id",
    "models/days.sql": "select date '2024-01-01' as day",
    "models/sales.yml": NEWER,
}


def test_newer_yaml_that_dbt_ignored_is_told_by_every_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(write_project(tmp_path, FILES))
    version = importlib.metadata.version("dbt-core")
    error = f"models/sales.yml:6:5: G168 dbt {version} ignored the semantic model 'sold': it has none of its"
    for command in (["validate", "--skip-dw"], ["list", "metrics"], ["query", "--metrics", "revenue", "--explain"]):
        assert main(command) == 1, command
        err = capsys.readouterr().err
        assert error in err and "unused" not in err and "no problem" not in err
    legacy = """
        semantic_models:
          - name: days
            model: ref('days')
            defaults: {agg_time_dimension: on_day}
            entities: [{name: date, type: primary, expr: day}]
            dimensions: [{name: on_day, expr: day, type: time, type_params: {time_granularity: day}}]
            measures: [{name: days, agg: count, expr: day, create_metric: true}]
    """
    write_project(tmp_path, {"models/legacy.yml": legacy})
    assert main(["query", "--metrics", "revenue", "--explain"]) == 1
    assert "G201 no metric named 'revenue'" in (err := capsys.readouterr().err) and error in err
    assert main(["query", "--metrics", "days", "--explain"]) == 0
