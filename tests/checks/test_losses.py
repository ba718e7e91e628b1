"""What dbt 1.12 drops from the manifest of the newer YAML."""

import json
from pathlib import Path

from gemel.dbt.project_file import locate_definitions
from gemel.dbt.semantic.reading import read_manifest
from gemel.session import Session
from gemel.validation import validate

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
