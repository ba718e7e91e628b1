"""dbt runs in the project that gemel was given, whatever the environment says."""

import json

from gemel.cli import main
from worlds.projects import write_project


def project(root, name):
    return write_project(
        root,
        {
            "dbt_project.yml": f"name: {name}\nprofile: shop\n",
            "models/days.sql": "select date '2024-01-01' as day",
            "models/days.yml": """
                models:
                  - name: days
                    time_spine: {standard_granularity_column: day}
                    columns: [{name: day, granularity: day}]
            """,
        },
    )


def test_dbt_runs_in_the_given_project_with_folders_of_the_current_directory(tmp_path, monkeypatch, capsys):
    here, _ = project(tmp_path / "here", "here"), project(tmp_path / "other", "other")
    write_project(tmp_path / "profiles", {"profiles.yml": "shop: {target: dev, outputs: {dev: {type: duckdb}}}"})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DBT_PROJECT_DIR", "other")
    monkeypatch.setenv("DBT_PROFILES_DIR", "profiles")
    assert main(["list", "metrics", "--project-dir", "here"]) == 0
    written = json.loads((here / "target/manifest.json").read_text())
    assert written["metadata"]["project_name"] == "here"
    assert not (tmp_path / "other/target").exists()
    assert main(["list", "metrics"]) == 0
    written = json.loads((tmp_path / "other/target/manifest.json").read_text())
    assert written["metadata"]["project_name"] == "other"
    monkeypatch.delenv("DBT_PROFILES_DIR")
    (here / "target/semantic_manifest.json").unlink()
    assert main(["list", "metrics", "--project-dir", "here", "--profiles-dir", "profiles"]) == 0, capsys.readouterr()
