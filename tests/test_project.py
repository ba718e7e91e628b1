"""A project in Python: opened, kept up to date, queried, and its errors with their places."""

import datetime as dt
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

import gemel
import gemel.dbt.running
from gemel.cli import main
from gemel.dbt.environment import Reads
from gemel.dbt.parsed import record_parsed
from gemel.dbt.targets import find_target
from gemel.errors import DefinitionError, Problems, ProjectError, QueryError, UnknownNameError, WarehouseError
from gemel.locking import hold_lock
from gemel.session import open_session
from gemel.spec.principal import Principal
from gemel.validation import validate

MODEL = {
    "name": "sales",
    "defaults": {"agg_time_dimension": "sold_at"},
    "node_relation": {"alias": "sales", "schema_name": "main", "database": "shop"},
    "entities": [{"name": "sale", "type": "primary", "expr": "id"}],
    "dimensions": [
        {"name": "sold_at", "type": "time", "type_params": {"time_granularity": "day"}},
        {"name": "region", "type": "categorical"},
    ],
    "measures": [{"name": "amount", "agg": "sum"}],
}
REVENUE = {"name": "revenue", "type": "simple", "type_params": {"measure": {"name": "amount"}}}
YAML = """\
metrics:
  - name: revenue
    type: simple
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A dbt project that was parsed and built, with one metric."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shop = tmp_path / "shop"
    for folder in ("metrics", "target"):
        (shop / folder).mkdir(parents=True)
    (shop / "dbt_project.yml").write_text("name: shop\nprofile: shop\nmodel-paths: [metrics]\n")
    (shop / "profiles.yml").write_text(
        "shop: {target: dev, outputs: {dev: &it {type: duckdb, path: shop.duckdb}, prod: *it}}"
    )
    (shop / "metrics/core.yml").write_text(YAML)
    write_manifest(shop, REVENUE)
    with duckdb.connect(str(shop / "shop.duckdb")) as connection:
        connection.execute(
            "CREATE TABLE sales AS SELECT 1 AS id, 'n' AS region, 10 AS amount, DATE '2024-01-01' AS sold_at"
        )
    return shop


def write_manifest(shop, *metrics, model=MODEL, saved_queries=()):
    content = {"semantic_models": [model], "metrics": metrics, "saved_queries": saved_queries}
    (shop / "target/semantic_manifest.json").write_text(json.dumps(content))


@pytest.fixture
def parses(monkeypatch):
    """Stands in for dbt: records each call, and writes the manifest where it is asked to."""
    calls = []

    def run_dbt(arguments, project_dir):
        calls.append(arguments)
        folder = Path(arguments[arguments.index("--target-path") + 1])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "semantic_manifest.json").write_text(json.dumps({"semantic_models": [MODEL], "metrics": [REVENUE]}))

    monkeypatch.setattr(gemel.dbt.running, "run_dbt", run_dbt)
    return calls


def make_older(file, seconds=100):
    then = os.stat(file).st_mtime - seconds
    os.utime(file, (then, then))


def test_keys_are_checked_before_the_query_runs(project):
    """Sales lead to regions, of which one stands there twice."""
    regions = {
        "name": "regions",
        "node_relation": {"alias": "regions", "schema_name": "main", "database": "shop"},
        "entities": [{"name": "area", "type": "primary", "expr": "region"}],
        "dimensions": [{"name": "country", "type": "categorical"}],
    }
    sales = {**MODEL, "entities": [*MODEL["entities"], {"name": "area", "type": "foreign", "expr": "region"}]}
    content = {"semantic_models": [sales, regions], "metrics": [REVENUE], "saved_queries": []}
    (project / "target/semantic_manifest.json").write_text(json.dumps(content))
    with duckdb.connect(str(project / "shop.duckdb")) as connection:
        connection.execute("CREATE TABLE regions AS FROM (VALUES ('n', 'NO'), ('n', 'SE')) AS t(region, country)")
    shop = gemel.load(project)
    assert shop.query("revenue", "area__country", check_keys=True).sql.startswith("SELECT")
    with pytest.raises(DefinitionError, match="G166 entity 'area' is primary in semantic model 'regions', but n has 2"):
        shop.query("revenue", "area__country", check_keys=True).rows()
    assert shop.query("revenue", check_keys=True).rows() == [(10,)]
    assert main(["query", "-m", "revenue", "-g", "area__country", "--check-keys", "--project-dir", str(project)]) == 1
    assert main(["query", "-m", "revenue", "--check-keys", "--project-dir", str(project)]) == 0


# --- asking ---------------------------------------------------------------------------------------------------


def test_a_history_whose_versions_overlap_is_refused_and_not_counted_twice(project, capsys):
    """Three sales of 12 in one region; a correction of its manager overlaps with the version before."""
    managers = {
        "name": "managers",
        "node_relation": {"alias": "managers", "schema_name": "main", "database": "shop"},
        "entities": [{"name": "area", "type": "natural", "expr": "region"}],
        "dimensions": [
            {"name": "manager", "type": "categorical"},
            {"name": "since", "type": "time", "type_params": {"validity_params": {"is_start": True}}},
            {"name": "until", "type": "time", "type_params": {"validity_params": {"is_end": True}}},
        ],
    }
    sales = {**MODEL, "entities": [*MODEL["entities"], {"name": "area", "type": "foreign", "expr": "region"}]}
    content = {"semantic_models": [sales, managers], "metrics": [REVENUE], "saved_queries": []}
    (project / "target/semantic_manifest.json").write_text(json.dumps(content))
    with duckdb.connect(str(project / "shop.duckdb")) as connection:
        connection.execute(
            "CREATE OR REPLACE TABLE sales AS FROM (VALUES (1, 'n', 12, DATE '2024-01-05'), "
            "(2, 'n', 12, DATE '2024-02-05'), (3, 'n', 12, DATE '2024-03-05')) AS t(id, region, amount, sold_at);"
            "CREATE TABLE managers AS FROM (VALUES ('n', 'ann', DATE '2024-01-01', DATE '2024-03-01'), "
            "('n', 'bob', DATE '2024-02-01', NULL)) AS t(region, manager, since, until)"
        )
    shop = gemel.load(project)
    assert shop.query("revenue").rows() == [(36,)]
    why = "G166 semantic model 'managers' is a history of 'area', but n has two rows that are valid at 2024-02-01"
    for answer in (
        shop.query("revenue", "area__manager"),
        shop.query("revenue", where="{{ Dimension('area__manager') }} is not null"),
    ):
        with pytest.raises(DefinitionError, match=why):
            answer.rows()
        with pytest.raises(DefinitionError, match=why):
            answer.arrow()
    shop.session.runner.principal = Principal("anybody")
    with pytest.raises(DefinitionError, match="but a key has two rows that are valid at one time"):
        shop.query("revenue", "area__manager").rows()
    shop.close()
    asked = ["query", "-m", "revenue", "-g", "area__manager", "--project-dir", str(project)]
    assert main(asked) == main(["validate", "--project-dir", str(project)]) == 1
    assert capsys.readouterr().err.count(why) == 2
    assert main([*asked, "--explain"]) == 0
    with duckdb.connect(str(project / "shop.duckdb")) as connection:
        connection.execute("UPDATE managers SET until = '2024-02-01' WHERE manager = 'ann'")
    assert shop.query("revenue", "area__manager", order_by="-revenue").rows() == [("bob", 24), ("ann", 12)]


def test_a_metric_that_sums_whole_numbers_is_a_bigint(project):
    answer = gemel.load(project).query("revenue", "sale__region")
    assert answer.types == ("VARCHAR", "BIGINT")
    assert answer.df()["revenue"].tolist() == [10]


def test_a_question_is_answered_in_the_forms_that_its_reader_wants(project):
    answer = gemel.load(project).query(["revenue"], group_by=["sale__region"])
    assert answer.sql.startswith("SELECT")
    assert (answer.columns, answer.rows()) == (("sale__region", "revenue"), [("n", 10)])
    assert answer.arrow().to_pydict() == {"sale__region": ["n"], "revenue": [10]}


def test_a_lone_text_is_one_item(project):
    assert gemel.load(project).query("revenue", "sale__region", order_by="-revenue").rows() == [("n", 10)]


def test_a_project_is_found_from_any_folder_inside_it(project):
    assert gemel.load(project / "metrics").session.dir == project


def test_a_manifest_file_alone_is_asked_of_a_database_of_any_name(project, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    manifest = (project / "target/semantic_manifest.json").rename(elsewhere / "m.json")
    database = (project / "shop.duckdb").rename(elsewhere / "backup.duckdb")
    shop = gemel.load(manifest, database=database)
    assert shop.session.dir is None
    assert shop.query(["revenue"]).rows() == [(10,)]
    with pytest.raises(ProjectError) as caught:
        gemel.load(manifest).query(["revenue"]).rows()
    assert caught.value.code == "G605"


def test_what_there_is_can_be_listed(project):
    shop = gemel.load(project)
    assert [metric.name for metric in shop.metrics()] == ["revenue"]
    assert [d.name for d in shop.dimensions(["revenue"])] == ["metric_time", "sale__region", "sale__sold_at"]
    assert [e.name for e in shop.entities()] == ["sale"]
    assert shop.dimension_values("sale__region") == ["n"]
    assert shop.saved_queries() == ()


def test_private_metrics_are_not_listed(project):
    write_manifest(project, {"name": "total", "type": "cumulative", "type_params": {"measure": {"name": "amount"}}})
    assert [metric.name for metric in gemel.load(project).metrics()] == ["total"]


def test_a_saved_query_is_asked_with_what_is_added(project):
    saved = {"name": "q", "query_params": {"metrics": ["revenue"], "group_by": ["sale__region"]}}
    write_manifest(project, REVENUE, saved_queries=[saved])
    shop = gemel.load(project)
    assert shop.query(saved_query="q").rows() == [("n", 10)]
    assert shop.query(saved_query="q", where=["{{ Dimension('sale__region') }} = 's'"]).rows() == []


# --- places and problems --------------------------------------------------------------------------------------


def test_an_error_of_a_definition_knows_its_place(project):
    write_manifest(project, {**REVENUE, "type_params": {"measure": {"name": "amuont"}}})
    with pytest.raises(Problems) as caught:
        gemel.load(project)
    assert str(caught.value) == "metrics/core.yml:2:5: G101 no measure is named 'amuont'\n  hint: did you mean amount?"
    assert str(caught.value.place) == "metrics/core.yml:2:5"


def test_an_unknown_name_has_no_place_and_a_hint(project):
    with pytest.raises(UnknownNameError) as caught:
        gemel.load(project).query(["revenu"])
    assert (caught.value.place, caught.value.hint) == (None, "did you mean revenue?")


def test_the_values_of_a_key_of_two_columns_are_asked_for_one_by_one(project):
    write_manifest(project, REVENUE, model=MODEL | {"entities": [MODEL["entities"][0] | {"expr": "(id, region)"}]})
    shop = gemel.load(project)
    with pytest.raises(QueryError, match="G332 'sale' is a key of 2 columns") as refused:
        shop.dimension_values("sale")
    assert refused.value.hint == "write sale__id or sale__region"
    assert shop.dimension_values("sale__id", ["revenue"]) == [1]


def test_validate_tells_every_key_whose_columns_do_not_fit(project):
    lines = {"name": "lines", "node_relation": MODEL["node_relation"], "dimensions": [], "measures": []}
    lines["entities"] = [{"name": name, "type": "primary", "expr": f"(id, {name})"} for name in ("left", "right")]
    sales = MODEL | {"entities": [{"name": name, "type": "foreign", "expr": "id"} for name in ("left", "right")]}
    content = {"semantic_models": [sales, lines], "metrics": [REVENUE]}
    (project / "target/semantic_manifest.json").write_text(json.dumps(content))
    assert [error.code for error in gemel.load(project).validate(skip_dw=True)] == ["G130", "G130"]


def test_validate_asks_the_database_for_each_definition(project):
    assert gemel.load(project).validate() == ()
    write_manifest(project, REVENUE, model={**MODEL, "measures": [{"name": "amount", "agg": "sum", "expr": "amuont"}]})
    (project / "metrics/core.yml").write_text(
        "semantic_models:\n  - name: sales\n    measures:\n      - name: amount\n" + YAML
    )
    make_older(project / "metrics/core.yml")
    shop = gemel.load(project)
    (problem,) = shop.validate()
    assert (problem.code, str(problem.place)) == ("G406", "metrics/core.yml:4:9")
    assert shop.validate(skip_dw=True) == ()


def test_validate_tells_what_cannot_be_read_with_all_else_that_is_wrong(project):
    bad = {**REVENUE, "name": "bad", "type_params": {"measure": {"name": "amuont"}}}
    of_bad = {"name": "of_bad", "type": "derived", "type_params": {"expr": "bad", "metrics": [{"name": "bad"}]}}
    lost = {**REVENUE, "name": "lost", "filter": "{{ Dimension('sale__colour') }} = 'red'"}
    write_manifest(project, bad, of_bad, lost, REVENUE)
    with pytest.raises(Problems) as caught:
        gemel.load(project)
    assert [error.code for error in caught.value.errors] == ["G101"]
    found = validate(open_session(project), skip_dw=True)
    assert sorted(error.code for error in found) == ["G101", "G202"]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda shop: shop.lineage(None), "name must be a text, not None"),
        (lambda shop: shop.diff(5), "base must be a text, not int: 5"),
        (lambda shop: shop.export([]), r"format must be a text, not list: \[\]"),
        (lambda shop: shop.export("cube", [5]), "metrics must be a text, not int: 5"),
        (lambda shop: shop.dimensions(None), "metrics must be a list of texts, not None"),
        (lambda shop: shop.test(select={"a": 1}), "select must be a list of texts, not dict"),
        (lambda shop: shop.verify(at=["2024-01-01"]), "at must be a datetime, not str: '2024-01-01'"),
        (lambda shop: shop.verify(at=dt.datetime(2024, 1, 1)), "at must be a list of datetimes, not datetime"),
        (lambda shop: shop.verify(moments=0), "moments must be a whole number from 1, not int: 0"),
        (lambda shop: shop.build(moments=True), "moments must be a whole number from 1, not bool: True"),
        (lambda shop: shop.materialize(end="2024"), "end must be a datetime, not str: '2024'"),
        (lambda shop: shop.query("revenue", dialect=5), "dialect must be a text, not int: 5"),
        (lambda shop: shop.query(saved_query=5), "saved_query must be a text, not int: 5"),
    ],
)
def test_an_argument_of_another_kind_is_refused_by_its_name(project, ask, message):
    with pytest.raises(QueryError, match=f"^G343 {message}"):
        ask(gemel.load(project))


def test_an_empty_base_is_not_the_project_itself(project):
    """`gemel diff "$BASE"` in CI, where BASE is not set, compared the project with itself."""
    with pytest.raises(ProjectError, match="G760 BASE is empty"):
        gemel.load(project).diff("")


# --- fresh or stale -------------------------------------------------------------------------------------------


def test_a_fresh_manifest_is_read_as_it_is(project, parses):
    gemel.load(project)
    assert parses == []


@pytest.mark.parametrize("stale", ["manifest is older", "manifest is missing", "a file was deleted", "the last file"])
def test_a_stale_manifest_is_made_anew_and_that_is_said(project, parses, stale):
    manifest, lines = project / "target/semantic_manifest.json", []
    match stale:
        case "manifest is older":
            make_older(manifest)
        case "manifest is missing":
            manifest.unlink()
        case "a file was deleted":
            (project / "metrics/gone.yml").touch()
            make_older(manifest, 1)
            make_older(project / "dbt_project.yml")
            make_older(project / "metrics/core.yml")
            (project / "metrics/gone.yml").unlink()
        case "the last file":
            make_older(manifest, 1)
            make_older(project / "dbt_project.yml")
            (project / "metrics/core.yml").unlink()
    gemel.load(project, say=lines.append)
    assert parses == [["parse", "--target-path", str(project / "target")]]
    assert len(lines) == 1 and lines[0].startswith("target/semantic_manifest.json is ") and "dbt parse" in lines[0]
    gemel.load(project)
    assert len(parses) == 1


def test_another_target_is_parsed_into_a_folder_of_its_own(project, parses):
    gemel.load(project, target="prod", profiles_dir=project)
    (call,) = parses
    assert call == [
        *("parse", "--target-path", str(project / "target/gemel/prod"), "--target", "prod"),
        *("--profiles-dir", str(project)),
    ]


LIVE = {**MODEL, "node_relation": {"alias": "sales", "schema_name": "live", "database": "shop"}}
OF_OWN_SCHEMA = {**MODEL, "node_relation": {"alias": "sales", "schema_name": "main_marts", "database": "shop"}}
ELSEWHERE = {**MODEL, "node_relation": {"alias": "sales", "schema_name": "marts", "database": "shop"}}


def two_targets(project, prod="schema: live"):
    (project / "profiles.yml").write_text(
        "shop: {target: dev, outputs: {dev: {type: duckdb, path: shop.duckdb}, "
        f"prod: {{type: duckdb, path: shop.duckdb, {prod}}}}}}}"
    )


@pytest.mark.parametrize("model", [LIVE, ELSEWHERE])
def test_what_dbt_wrote_for_another_target_is_not_asked(project, parses, model):
    """`dbt parse --target prod` leaves its manifest where the profile's own target has its."""
    two_targets(project)
    write_manifest(project, REVENUE, model=model)
    lines = []
    shop = gemel.load(project, say=lines.append)
    assert shop.query(["revenue"]).rows() == [(10,)]  # of shop.main; there is no shop.live
    assert shop.session.artifacts == project / "target/gemel/dev"
    assert parses == [["parse", "--target-path", str(project / "target/gemel/dev")]]
    line = "target/semantic_manifest.json may not be for target 'dev': running dbt parse for it"
    assert lines == [line]
    gemel.load(project)
    assert len(parses) == 1


@pytest.mark.parametrize("model", [MODEL, OF_OWN_SCHEMA])
def test_what_dbt_wrote_for_the_profiles_own_target_is_known_by_its_tables(project, parses, model):
    two_targets(project)
    write_manifest(project, REVENUE, model=model)
    assert gemel.load(project).session.artifacts == project / "target"
    assert parses == []


def test_a_schema_that_two_targets_could_have_named_tells_nothing(project, parses):
    two_targets(project, prod="schema: main_marts")
    write_manifest(project, REVENUE, model=OF_OWN_SCHEMA)
    gemel.load(project)
    assert len(parses) == 1


def test_a_target_of_the_environment_is_the_profiles_own(project, parses, monkeypatch):
    two_targets(project)
    monkeypatch.setenv("DBT_TARGET", "prod")
    assert gemel.load(project).session.artifacts == project / "target/gemel/prod"
    assert len(parses) == 1


def test_a_parse_of_ours_notes_its_target(project, parses, monkeypatch):
    """Also where the tables' places tell nothing, and until the profile builds somewhere else."""
    two_targets(project)
    (project / "target/semantic_manifest.json").unlink()
    gemel.load(project)
    write_manifest(project, REVENUE, model=ELSEWHERE)
    record_parsed(project / "target", find_target(project, None, None), {}, Reads(), {})
    assert gemel.load(project).session.artifacts == project / "target"
    assert len(parses) == 1
    file = project / "profiles.yml"
    file.write_text(file.read_text().replace("path: shop.duckdb}", "path: shop.duckdb, schema: mine}"))
    gemel.load(project)
    assert len(parses) == 2


def test_a_target_that_there_is_not_is_refused_before_anything_is_run(project, parses):
    with pytest.raises(ProjectError) as caught:
        gemel.load(project, target="prdo")
    assert (caught.value.code, caught.value.hint, parses) == ("G604", "did you mean prod?", [])


def test_a_target_folder_that_cannot_be_written_is_replaced_by_the_cache(project, parses, monkeypatch, tmp_path):
    make_older(project / "target/semantic_manifest.json")
    monkeypatch.setattr(gemel.dbt.running.os, "access", lambda folder, _: not str(folder).startswith(str(project)))
    assert gemel.load(project).query(["revenue"]).rows() == [(10,)]
    assert parses[0][2].startswith(str(tmp_path / "cache/gemel"))


def test_two_that_find_a_stale_manifest_parse_it_once(project, parses):
    make_older(project / "target/semantic_manifest.json")
    (project / "target/gemel").mkdir(exist_ok=True)
    lines = []
    with ThreadPoolExecutor(1) as other:
        with hold_lock(project / "target/gemel/parsing.lock", print, doing="parsing"):
            loaded = other.submit(gemel.load, project, say=lines.append)
            while len(lines) < 2:
                assert not loaded.done(), loaded.result()
                time.sleep(0.01)
            (project / "target/semantic_manifest.json").touch()
        assert loaded.result(30).query(["revenue"]).rows() == [(10,)]
    assert parses == [] and lines[1] == f"process {os.getpid()} is parsing here; waiting for it to end"


def test_a_manifest_that_is_named_is_never_made_anew(project, parses):
    make_older(project / "target/semantic_manifest.json")
    gemel.load(project, manifest=project / "target/semantic_manifest.json")
    assert parses == []


@pytest.mark.parametrize(
    ("target_path", "folder"),
    [("", "target"), ("target-path: build\n", "build"), ('target-path: "{{ x }}"\n', "target")],
)
def test_the_target_folder_is_the_projects_own(project, target_path, folder):
    (project / "dbt_project.yml").write_text("name: shop\n" + target_path)
    assert gemel.dbt.running.find_target_dir(project) == project / folder


def test_dbt_itself_says_what_it_cannot_read(project):
    (project / "metrics/core.yml").write_text("metrics:\n  - name: revenue\n    type: [\n")
    with pytest.raises(ProjectError) as caught:
        gemel.load(project)
    assert caught.value.code == "G603"
    assert str(caught.value.place).startswith("metrics/core.yml:")
    assert "Traceback" not in str(caught.value) and "Running with dbt" not in str(caught.value)


def test_the_words_of_dbt_come_without_its_banner():
    log = "\n".join(
        [
            "not json",
            json.dumps({"data": {}, "info": {"level": "info", "msg": "Running with dbt=1.11"}}),
            json.dumps({"data": {"exc": "Parsing Error\n  ----\n  bad"}, "info": {"level": "error", "msg": "m"}}),
            json.dumps({"data": {"stack_trace": "Traceback"}, "info": {"level": "error", "msg": "Traceback"}}),
        ]
    )
    assert gemel.dbt.failures.dbt_message(log) == "Parsing Error\n  bad"


def test_the_words_of_dbt_come_without_the_lines_of_its_code():
    trace = 'Traceback:\n    File "dbt.py", line 1\n      a = b\n\n'
    message = f"cannot parse `a`:\nError Message:\n    bad name\n{trace}cannot parse `b`"
    log = json.dumps({"data": {"exc": message}, "info": {"level": "error", "msg": "m"}})
    assert gemel.dbt.failures.dbt_message(log) == "cannot parse `a`:\nError Message:\n    bad name\ncannot parse `b`"


@pytest.mark.parametrize(
    ("command", "message", "hint"),
    [
        ("parse", "Parsing Error in model a (models/a.sql)", "`dbt parse` shows the same"),
        (
            "parse",
            "Exposure 'e' (transform/bi/_bi.yml) depends on a node named 'a' which was not found",
            "`gemel generate` writes them anew",
        ),
        ("build", "Parsing Error\n  no node", "`dbt build` shows the same"),
        ("build", "Failure in model a (models/a.sql)\nFailure in test t (x.yml)", "correct the model"),
        (
            "build",
            "Failure in test t (x.yml)\n  Got 1 result\nFailure in test u (x.yml)",
            "--select t u --store-failures",
        ),
    ],
)
def test_what_to_do_about_dbt_depends_on_what_failed(project, monkeypatch, command, message, hint):
    log = json.dumps({"data": {"exc": message}, "info": {"level": "error"}})
    failed = subprocess.CompletedProcess([], 1, stdout=log, stderr="")
    monkeypatch.setattr(gemel.dbt.running.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(ProjectError) as caught:
        gemel.dbt.running.run_dbt([command], project)
    assert (caught.value.code, hint in caught.value.hint) == ("G603", True), caught.value.hint


# --- no project -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda path: path / "nowhere", "G601"),
        (lambda path: path, "G601"),
        (lambda path: write(path / "m.json", "{"), "G602"),
        (lambda path: write(path / "m.json", "[]"), "G602"),
        (lambda path: write(path / "m.json", '{"nodes": {}}'), "G602"),
    ],
)
def test_what_is_no_project_is_refused(tmp_path, make, code):
    with pytest.raises(ProjectError) as caught:
        gemel.load(make(tmp_path))
    assert caught.value.code == code
    assert code != "G602" or str(tmp_path / "m.json") in str(caught.value)


def write(file, text):
    file.write_text(text)
    return file


def test_importing_gemel_alone_imports_nothing_else():
    import subprocess
    import sys

    code = "import sys, gemel; print([m for m in sys.modules if m.startswith('gemel.')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
    with pytest.raises(AttributeError):
        _ = gemel.nothing


def test_another_engines_sql_is_text_and_has_no_rows_here(project):
    answer = gemel.load(project).query(["revenue"], dialect="snowflake")
    assert "SUM" in answer.sql
    with pytest.raises(QueryError, match="G342 this SQL is for snowflake"):
        answer.rows()


def test_a_feature_view_that_cannot_be_read_is_reported_among_the_others(project):
    (project / "feature_views" / "views.yml").mkdir(parents=True)
    found = gemel.load(project).validate()
    assert [(each.code, each.message) for each in found] == [
        ("G607", "cannot read feature_views/views.yml: Is a directory")
    ]


def test_a_file_in_the_place_of_feature_views_is_not_a_project_without_any(project):
    (project / "feature_views").write_text("a file")
    found = gemel.load(project).validate()
    assert [(each.code, each.message) for each in found] == [("G607", "cannot read feature_views: Not a directory")]


def test_an_open_connection_is_asked_in_place_of_a_file(project):
    with duckdb.connect() as connection:  # its database is called otherwise than in the manifest
        connection.execute("CREATE SCHEMA mine; USE mine")
        connection.execute(
            "CREATE TABLE main.sales AS SELECT 1 AS id, 's' AS region, 7 AS amount, DATE '2024-01-01' AS sold_at"
        )
        shop = gemel.load(project, database=connection)
        assert shop.query(["revenue"], ["sale__region"]).rows() == [("s", 7)]
        assert not [each for each in shop.validate() if each.severity == "error"]
        shop.close()
        assert connection.execute("SELECT current_schema()").fetchall() == [("mine",)], "it stays its owner's"


def test_a_database_is_a_file_or_a_connection(project):
    with pytest.raises(ProjectError, match="G605 a database must be a DuckDB file or an open connection, not int"):
        gemel.load(project, database=5).query(["revenue"]).rows()


def test_a_form_whose_package_is_missing_is_reported(project, monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(WarehouseError, match="G408 polars is not installed"):
        gemel.load(project).query(["revenue"]).pl()


@pytest.mark.parametrize("given", [{"path": None}, {"path": 5}, {"path": ".", "manifest": 5}])
def test_what_is_no_path_is_refused(given):
    with pytest.raises(ProjectError, match=r"G601 (path|manifest) must be a string or a Path"):
        gemel.load(**given)


def test_a_closed_project_lets_others_write_to_its_file_and_opens_it_again_when_it_is_asked(project):
    file = str(project / "shop.duckdb")
    with gemel.load(project) as shop:
        assert shop.query(["revenue"]).rows() == [(10,)]
    with duckdb.connect(file) as connection:
        connection.execute("UPDATE sales SET amount = 12")
    assert shop.query(["revenue"]).rows() == [(12,)]
    shop.close()
    duckdb.connect(file).close()


def test_a_connection_that_was_given_stays_open(project):
    with duckdb.connect(str(project / "shop.duckdb"), read_only=True) as connection:
        with gemel.load(project, database=connection) as shop:
            assert shop.query(["revenue"]).rows() == [(10,)]
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_a_notebook_shows_the_answer_and_says_what_the_project_is(project):
    with gemel.load(project) as shop:
        assert repr(shop) == "<Project shop: 1 metric, 1 semantic model, 0 saved queries>"
        answer = shop.query(["revenue"], ["sale__region"])
        assert repr(answer) == "<Answer: revenue by sale__region>"
        page = answer._repr_html_()
    assert '<td style="text-align: left">n</td><td style="text-align: right">10</td>' in page
    assert page.endswith("<p>1 row</p>")


def test_a_value_is_text_in_a_notebook_and_not_html(project):
    with duckdb.connect(str(project / "shop.duckdb")) as connection:
        connection.execute("INSERT INTO sales SELECT range, '<b>' || range, 1, DATE '2024-01-01' FROM range(200)")
    with gemel.load(project) as shop:
        page = shop.query(["revenue"], ["sale__region"])._repr_html_()
    assert "&lt;b&gt;" in page and "<b>" not in page
    assert page.count("<tr>") == 101 and page.endswith("<p>100 of 201 rows</p>")


def test_each_definition_that_dbt_refuses_has_its_own_place(project):
    """dbt reports them all, and then one error without a word about them."""
    (project / "metrics/core.yml").write_text(
        "semantic_models:\n  - name: sales\n    dimensions: [{name: metric_time}]\n    measures:\n      - name: bads\n"
    )
    (project / "metrics/_columns.yml").write_text("columns: [{name: bads}]\n")
    messages = [
        "Invalid name `metric_time` - this name is reserved",
        "Measure 'bads' needs a percentile",
        "Measure 'bads' needs a percentile",
        "Parsing Error\n  Semantic Manifest validation failed.",
    ]
    log = "\n".join(json.dumps({"data": {}, "info": {"level": "error", "msg": message}}) for message in messages)
    error = gemel.dbt.failures.dbt_failure("parse", log, "", 2, project)
    assert isinstance(error, ProjectError)
    assert [str(each).splitlines()[0] for each in error.errors] == [
        "metrics/core.yml:3:25: G603 dbt parse failed: Invalid name `metric_time` - this name is reserved",
        "metrics/core.yml:5:9: G603 dbt parse failed: Measure 'bads' needs a percentile",
    ]
    assert str(error).count("hint: correct the project") == 1
