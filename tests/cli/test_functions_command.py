"""gemel functions, and functions that a project names in dbt_project.yml."""

import json

import duckdb
import pytest
from click.testing import CliRunner

import gemel
from gemel.cli import command
from gemel.errors import ProjectError
from hostile.fortress import Fortress


def run(*arguments):
    done = CliRunner().invoke(command, ["functions", *arguments])
    return done.exit_code, done.output


def test_the_functions_are_listed_and_searched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, output = run("--search", "WEEK", "--format", "json")
    assert code == 0
    rows = json.loads(output)
    assert {"date_trunc(unit unit, value time) -> timestamp", "week(value time) -> whole"} <= {
        r["function"] for r in rows
    }
    assert run()[1].count("\n") > 100


@pytest.fixture
def shop(tmp_path):
    """A project whose DuckDB has a macro, which dbt_project.yml lets questions call."""
    project = Fortress(tmp_path)
    with duckdb.connect(str(project.database)) as connection:
        connection.execute("create macro initial(x) as upper(left(x, 1))")
        connection.execute("create macro leaked(x) as (select song from canary)")
    functions = "[initial(value text) -> text, {signature: starts(value text) -> text, calls: main.initial}]"
    (tmp_path / "dbt_project.yml").write_text(f"name: shop\nvars:\n  gemel:\n    functions: {functions}\n")
    return gemel.load(tmp_path, manifest=project.manifest, database=project.database)


def test_a_question_calls_what_the_project_names_and_no_other_macro(shop):
    assert (
        shop.query(["revenue"], where="initial(sale__region) = 'N'").rows()
        == shop.query(["revenue"], where="starts(sale__region) = 'N'").rows()
    )
    assert (
        shop.query(["revenue"], where="initial(sale__region) = 'N'").rows()
        == shop.query(["revenue"], where="sale__region like 'n%'").rows()
    )
    with pytest.raises(gemel.QueryError, match="G340"):
        shop.query(["revenue"], where="leaked(sale__region) = 'x'")


def test_they_are_listed_with_the_others(shop, tmp_path):
    _, output = run("--project-dir", str(tmp_path), "--search", "of the project")
    assert "initial(value text) -> text" in output and "starts(value text) -> text" in output


def test_a_trusted_filter_calls_any_macro(shop):
    where = "leaked({{ Dimension('sale__region') }}) = 'alive'"
    assert shop.query(["revenue"], trusted_where=where).rows() == shop.query(["revenue"]).rows()


@pytest.mark.parametrize("written", ["5", "[5]", "[{signature: x}]", "[{name: x}]", "[f(x varchar) -> text]"])
def test_another_declaration_is_refused_with_its_line(shop, tmp_path, written):
    (tmp_path / "dbt_project.yml").write_text(f"name: shop\nvars:\n  gemel:\n    functions: {written}\n")
    with pytest.raises(ProjectError, match=r"dbt_project\.yml:4: G604"):
        gemel.load(
            tmp_path, manifest=tmp_path / "semantic_manifest.json", database=tmp_path / "warehouse.duckdb"
        ).query(["revenue"], where="initial(sale__region) = 'N'")
