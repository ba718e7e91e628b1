"""`--vars` and the environment: definitions are those of the variables of today, whoever ran dbt last."""

import json
import os
import shutil
import time

import pytest

import gemel
from gemel.cli import main
from gemel.dbt.environment import Reads, find_reads, find_unproven
from gemel.dbt.parsed import forget_others
from gemel.dbt.profile import read_target
from gemel.dbt.project_file import read_timezone, read_variables
from gemel.dbt.running import find_target_dir
from gemel.errors import ProjectError
from worlds.projects import make_once, run_dbt, write_project

FILES = {
    "dbt_project.yml": "name: shop\nprofile: shop\nvars: {factor: 1, shop: {unit: 1}}\n",
    "profiles.yml": """
        shop:
          target: dev
          outputs:
            dev: {type: duckdb, path: shop.duckdb, schema: "{{ env_var('SHOP_SCHEMA', 'main') }}"}
    """,
    "models/sales.sql": """
        {{ config(alias=env_var('SHOP_TABLE', 'sales')) }}
        select 1 as id, 10 * {{ var('factor') }} as amount, date '2024-01-01' as sold_at
    """,
    "models/days.sql": "select date '2024-01-01' as day",
    "models/sales.yml": """
        models:
          - name: days
            time_spine: {standard_granularity_column: day}
            columns: [{name: day, granularity: day}]
        semantic_models:
          - name: sales
            model: ref('sales')
            defaults: {agg_time_dimension: sold_at}
            entities: [{name: sale, type: primary, expr: id}]
            dimensions: [{name: sold_at, type: time, type_params: {time_granularity: day}}]
            measures:
              - {name: revenue, agg: sum, expr: "amount * {{ var('factor') }}", create_metric: true}
    """,
}


@pytest.fixture(scope="session")
def parsed(tmp_path_factory):
    """The project, parsed by gemel."""
    return make_once(tmp_path_factory, "variables", lambda root: gemel.load(write_project(root, FILES)))


@pytest.fixture
def shop(parsed, tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(parsed, tmp_path / "shop"))
    for name in ("SHOP_SCHEMA", "SHOP_TABLE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "shop"


@pytest.fixture
def ask(capsys):
    def explain(*options):
        """The SQL on one line, and what was said."""
        assert main(["query", "--metrics", "revenue", "--explain", *options]) == 0, capsys.readouterr()
        out, err = capsys.readouterr()
        return " ".join(out.split()), err

    return explain


def test_two_terminals_with_different_variables(shop, ask):
    two = ("--vars", "{factor: 2}")
    for options, factor, parses in ((two, 2, True), ((), 1, False), (two, 2, False), ((), 1, False)):
        sql, said = ask(*options)
        assert f"SUM(sales.amount * {factor})" in sql and ("running dbt parse" in said) is parses
    assert "SUM(sales.amount * 2)" in gemel.load(shop, vars={"factor": 2}).query("revenue").sql


def test_a_changed_variable_of_the_environment_gives_the_new_answer(shop, ask, monkeypatch):
    assert ask() == ("SELECT SUM(sales.amount * 1) AS revenue FROM shop.main.sales", "")
    monkeypatch.setenv("SHOP_TABLE", "very_secret_name")
    sql, said = ask()
    assert sql.endswith("FROM shop.main.very_secret_name AS sales")
    assert said == "target/semantic_manifest.json was parsed with another value of SHOP_TABLE: running dbt parse\n"
    assert ask()[1] == ""
    record = (shop / "target/gemel/parsed.json").read_text()
    assert "SHOP_TABLE" in record and "very_secret_name" not in record
    monkeypatch.setenv("SHOP_SCHEMA", "live")
    monkeypatch.delenv("SHOP_TABLE")
    assert ask()[0].endswith("FROM shop.live.sales")
    assert ask() == (ask()[0], "")


def touch(shop):
    (shop / "models/sales.yml").touch()


def test_dbts_own_run_counts_with_its_variables(shop, ask):
    run_dbt(shop, "compile", "--vars", "{factor: 3}")
    assert ask() == ("SELECT SUM(sales.amount * 3) AS revenue FROM shop.main.sales", "")
    touch(shop)
    sql, said = ask()
    assert "amount * 3" in sql
    assert said.endswith("older than the definitions: running dbt parse with the --vars of the last run: {factor: 3}\n")
    run_dbt(shop, "parse", "--vars", "{factor: 4}")  # which leaves no note of its variables
    assert "amount * 4" in ask()[0]
    touch(shop)
    sql, said = ask()
    assert "amount * 1" in sql
    assert said.endswith("running dbt parse without --vars, because nobody recorded those of dbt's last run\n")


def test_dbts_own_run_counts_with_its_environment(shop, ask, monkeypatch):
    monkeypatch.setenv("SHOP_TABLE", "a")
    run_dbt(shop, "parse", "--no-partial-parse")
    assert ask() == ("SELECT SUM(sales.amount * 1) AS revenue FROM shop.main.a AS sales", "")
    monkeypatch.setenv("SHOP_TABLE", "b")
    run_dbt(shop, "parse")  # which names table b in manifest.json, and still a in the semantic manifest
    sql, said = ask()
    assert sql.endswith("FROM shop.main.b AS sales")
    assert said.startswith("target/semantic_manifest.json names other tables than manifest.json: running dbt parse")


def test_a_build_hands_the_variables_on_and_diff_reads_both_states_with_them(shop, capsys, tmp_path):
    before = shutil.copytree(shop, tmp_path / "before")
    (before / "models/sales.sql").write_text(FILES["models/sales.sql"].replace("10 *", "5 *"))
    given = ("--vars", "{factor: 3}")
    assert main(["build", *given]) == 0, capsys.readouterr()
    assert main(["query", "--metrics", "revenue", "--format", "csv", *given]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "90"
    assert main(["diff", str(before), "--metrics", "revenue", "--format", "json", *given]) == 0, capsys.readouterr()
    assert '"before": 45' in (out := capsys.readouterr().out) and '"after": 90' in out, out


def test_a_build_says_that_it_has_the_variables_of_the_last_run(shop, capsys):
    run_dbt(shop, "build", "--vars", "{factor: 3}")
    capsys.readouterr()
    assert main(["build"]) == 0
    told = capsys.readouterr()
    assert "dbt builds with the --vars of its last run: {factor: 3}; --vars '{}' is none\n" in told.out + told.err
    assert main(["build", "--vars", "{}"]) == 0
    told = capsys.readouterr()
    assert "last run" not in told.out + told.err
    assert main(["query", "--metrics", "revenue", "--format", "csv", "--vars", "{}"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "10"


@pytest.mark.parametrize("written", ["factor", "[1]", "{a: ["])
def test_variables_that_are_no_object_are_refused(shop, capsys, written):
    assert main(["list", "metrics", "--vars", written]) == 1
    assert capsys.readouterr().err.startswith("G610 --vars ")


def test_variables_that_the_project_misses_are_named(shop, capsys):
    text = (shop / "models/sales.yml").read_text()
    (shop / "models/sales.yml").write_text(text.replace("var('factor')", "var('rate')"))
    assert main(["list", "metrics"]) == 1
    assert "hint: give it (`--vars '{rate: …}'`)" in capsys.readouterr().err
    assert main(["list", "metrics", "--vars", "{rate: 2}"]) == 0


def test_a_variable_in_the_profile(shop, ask, capsys):
    file = shop / "profiles.yml"
    file.write_text(file.read_text().replace("env_var('SHOP_SCHEMA', 'main')", "var('schema')"))
    assert ask("--vars", "{schema: live}")[0].endswith("FROM shop.live.sales")


def test_the_projects_own_settings_may_be_variables(shop):
    assert read_timezone(shop, {"gemel": {"timezone": "Asia/Tokyo"}}) == "Asia/Tokyo"
    variables = read_variables(shop, {"unit": 2})
    assert variables.of("shop")["unit"] == 2 and variables.of("other")["factor"] == 1
    assert read_variables(shop).of("shop")["unit"] == 1


def test_names_that_are_computed_and_secrets(tmp_path, monkeypatch):
    file = tmp_path / "macro.sql"
    file.write_text("{{ env_var('PLAIN') }} {{ env_var('SHOP_' ~ target.name, '') }} {{ env_var('DBT_ENV_SECRET_X') }}")
    monkeypatch.setenv("SHOP_DEV", "1")
    settings = {"schema": "{{ env_var('S') }}", "password": "{{ env_var('P') }}"}
    reads = find_reads([file], settings)
    found = {*reads.list_names(os.environ)}
    assert found >= {"PLAIN", "S", "SHOP_DEV"} and found.isdisjoint({"P", "DBT_ENV_SECRET_X"})


def test_notes_of_dbt_prove_the_environment(tmp_path, monkeypatch):
    (tmp_path / "dbt_project.yml").touch()
    (tmp_path / "partial_parse.msgpack").write_bytes(b"..\xa4AREA\xa5north..")
    prove = lambda *names: find_unproven(Reads(frozenset(names)), tmp_path, tmp_path / "dbt_project.yml", os.environ)  # noqa: E731
    for value, unproven in (("north", None), ("nort", "AREA"), ("south", "AREA")):
        monkeypatch.setenv("AREA", value)
        assert prove("AREA", "OTHER") == unproven
    os.remove(tmp_path / "partial_parse.msgpack")
    assert prove("OTHER") == "OTHER" and prove() is None


def test_a_file_of_variables_counts_from_dbt_1_12_on(shop, monkeypatch):
    file, dbt = shop / "profiles.yml", "gemel.dbt.environment.version"
    file.write_text(file.read_text().replace("'SHOP_SCHEMA', 'main'", "'SHOP_SCHEMA'"))
    (shop.parent / ".env").write_text("SHOP_SCHEMA=live\nDBT_ENGINE_TARGET_PATH=elsewhere\n")
    monkeypatch.setattr(dbt, lambda name: "1.12.0")
    assert read_target(shop).schema == "live" and find_target_dir(shop) == shop / "elsewhere"
    monkeypatch.setenv("SHOP_SCHEMA", "own")
    assert read_target(shop).schema == "own"
    monkeypatch.delenv("SHOP_SCHEMA")
    monkeypatch.setattr(dbt, lambda name: "1.11.16")
    with pytest.raises(ProjectError, match="SHOP_SCHEMA is not set"):
        assert read_target(shop).schema


@pytest.mark.parametrize("prefix", ["DBT_", "DBT_ENGINE_"])
def test_dbts_own_variables_have_two_names(shop, monkeypatch, prefix):
    (shop / "p").mkdir()
    (shop / "p/profiles.yml").write_text("other: {outputs: {prod: {type: duckdb}}}")
    for name, value in (("PROFILE", "other"), ("TARGET", "prod"), ("PROFILES_DIR", "p"), ("TARGET_PATH", "t")):
        monkeypatch.setenv(prefix + name, value)
    assert (read_target(shop).profile, read_target(shop).name) == ("other", "prod")
    assert find_target_dir(shop) == shop / "t"


def test_a_record_that_is_none_is_no_record(shop, ask):
    for text in ("", "[]", json.dumps({"written": 1})):
        (shop / "target/gemel/parsed.json").write_text(text)
        assert ask()[1] == ""
    with pytest.raises(ProjectError, match="G610"):
        gemel.load(shop, vars=[1])


def test_folders_of_variables_that_were_used_once_go(tmp_path):
    for number in range(25):
        (tmp_path / f"vars-{number:02}").mkdir()
        age = time.time() - (86400 * 30 if number < 22 else 0) - number
        os.utime(tmp_path / f"vars-{number:02}", (age, age))
    forget_others(tmp_path / "vars-24")
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        *(f"vars-{number:02}" for number in range(17)),
        *("vars-22", "vars-23", "vars-24"),
    ]
