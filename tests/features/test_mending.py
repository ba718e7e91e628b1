"""`gemel generate` and `gemel build` mend what was generated before, and types of tables that were built before."""

import shutil

import duckdb
import pytest

from gemel import load, pipeline
from worlds.projects import run_captured

# What foreign libraries warn of, now and when their objects are collected, is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")

VIEWS, SERVICES = "models/features/_feature_views.yml", "models/features/_feature_services.yml"
BUYING, VISITING = "models/features/buying.sql", "models/features/visiting.sql"


@pytest.fixture
def project(built_sales, tmp_path, monkeypatch):
    """A copy of the built project for a test to spoil, and the current directory."""
    folder = shutil.copytree(built_sales / "as_built", tmp_path / "shop")
    monkeypatch.chdir(folder)
    return folder


def change(project, name, old, new):
    text = (project / name).read_text()
    assert old in text
    (project / name).write_text(text.replace(old, new))


def test_generated_files_that_dbt_cannot_parse_are_written_anew(project):
    names = (VIEWS, SERVICES, BUYING, VISITING)
    before = {name: (project / name).read_text() for name in names}
    (project / "models/loyal.sql").write_text("select customer from {{ ref('buying') }}")  # its model must stay
    (project / VIEWS).write_text(f"<<<<<<< HEAD\n{before[VIEWS]}=======\n{before[VIEWS]}>>>>>>> theirs\n")
    (project / SERVICES).write_text(before[SERVICES].replace("ref('visiting')", "ref('gone')"))
    (project / BUYING).write_text(before[BUYING][:200] + "{% if")
    (project / VISITING).write_text("")

    code, out, err = run_captured("generate", "--check")
    assert (code, out.split()) == (1, ["stale", SERVICES, "stale", VIEWS, "stale", BUYING, "stale", VISITING]), err
    assert "which gemel generated" in err
    assert (project / BUYING).read_text().endswith("{% if")  # a check writes nothing

    code, out, err = run_captured("generate")
    assert (code, out.split()[1::2]) == (0, [SERVICES, VIEWS, BUYING, VISITING]), err
    assert {name: (project / name).read_text() for name in names} == before
    assert run_captured("generate", "--check")[0] == 0


def test_files_for_a_model_that_was_renamed_are_written_anew(project):
    (project / "models/sales.sql").rename(project / "models/sold.sql")
    change(project, "models/models.yml", "ref('sales')", "ref('sold')")
    code, _, err = run_captured("generate")
    assert (code, "ref('sold')" in (project / BUYING).read_text()) == (0, True), err


def test_an_error_of_a_users_own_is_reported_and_nothing_is_touched(project):
    (project / "models/own.sql").write_text("select {{ buying")
    (project / "models/models.yml").touch()
    before = (project / VIEWS).read_text(), (project / BUYING).read_text()
    code, _, err = run_captured("generate")
    assert (code, "G603" in err, "models/own.sql" in err) == (1, True, True), err
    assert ((project / VIEWS).read_text(), (project / BUYING).read_text()) == before


def test_a_file_of_a_users_own_in_the_place_of_a_generated_one_is_left(project):
    (project / BUYING).write_text("select 1 as mine")
    code, _, err = run_captured("generate")
    assert (code, err.split(": ")[1][:4], (project / BUYING).read_text()) == (1, "G525", "select 1 as mine"), err


class AppliesError(Exception):
    """The tables are built, and have the right types."""


def build_tables(monkeypatch):
    def applies(repo):
        raise AppliesError

    lines = []
    monkeypatch.setattr(pipeline.feast, "apply", applies)
    with load(".") as project, pytest.raises(AppliesError):
        project.build(say=lines.append)
    return lines


def test_types_are_those_of_the_models_whatever_the_tables_of_the_last_build_have(project, monkeypatch):
    def type_of(column):
        described = duckdb.sql(f"describe from '{project}/feature_views/data/visiting.parquet'").fetchall()
        return next(row[1] for row in described if row[0] == column)

    with duckdb.connect(str(project / "shop.duckdb")) as connection:
        connection.execute("create or replace table spoilt as select * replace (hash(shop) as shop) from sales")
        connection.execute("drop view if exists sales; drop table if exists sales; alter table spoilt rename to sales")
    code, _, err = run_captured("generate")
    assert (code, "G524 entity 'shop' is UBIGINT" in err) == (1, True), err
    assert build_tables(monkeypatch) == [
        "  the tables of the last build do not fit: building the models that the features read"
    ]
    assert type_of("shop") == "BIGINT"

    change(project, "models/sales.sql", "select * from", "select * replace ('s' || shop as shop) from")
    [line] = build_tables(monkeypatch)
    assert line == "  3 files written for models that have other types now: building again"
    assert type_of("shop") == "VARCHAR"
