"""The worked example after a mere `dbt parse`: from the raw columns to the feature services."""

import json
import shutil
from pathlib import Path

import pytest

import gemel
from gemel.cli import main
from gemel.cli.runs import VARIABLE, tells_openlineage
from gemel.graph.building import read_graph
from gemel.session import open_session

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def example(parsed_example, tmp_path_factory):
    """A copy that dbt has parsed, as the first command has it do."""
    return shutil.copytree(parsed_example, tmp_path_factory.mktemp("lineage") / "example")


@pytest.fixture
def inside(example, monkeypatch):
    """The working directory is the example's."""
    monkeypatch.chdir(example)


@pytest.fixture
def run(inside, capsys):
    def call(*arguments):
        code = main(["lineage", *arguments])
        captured = capsys.readouterr()
        assert (code, captured.err) == (0, "")
        return captured.out

    return call


def test_the_late_rate_comes_of_the_raw_delay_and_goes_to_the_services(run):
    page = (ROOT / "docs/lineage.md").read_text()
    shown = page.partition("<!-- late_rate -->\n")[2].partition("<!-- /late_rate -->")[0]
    tree = run("late_rate")
    assert "column nycflights13.flights.dep_delay" in tree
    assert "feature service departure_delay_v1" in tree
    assert shown == f"```\n$ gemel lineage late_rate\n{tree}```\n"


def test_every_model_of_the_example_is_followed_by_columns(example):
    lineage = open_session(example).once(read_graph)
    nodes = [lineage.node(id) for id in lineage.tables.ids().values()]
    upstream = lineage.upstream(*nodes)
    assert upstream.gaps == ()
    assert not [edge for edge in upstream.edges if edge.why == "table"]


def test_a_raw_column_that_decides_only_by_rows_changes_no_value(example):
    lineage = open_session(example).once(read_graph)
    impact = lineage.impact(*lineage.find("nycflights13.airports.faa"))
    assert "metric:late_rate" in {node.id for node in impact.groups["metric"]}  # an inner join may drop a flight
    assert "metric:late_rate" not in impact.values
    delay = lineage.impact(*lineage.find("nycflights13.flights.dep_delay"))
    assert {"metric:late_rate", "feature:carrier_punctuality.late_rate_7d"} <= delay.values
    assert [node.name for node in delay.groups["feature_service"]] == ["departure_delay_v1", "departure_delay_v2"]


def test_json_mermaid_and_openlineage_tell_of_the_same_nodes(run):
    content = json.loads(run("late_rate", "--format", "json"))
    chart = run("late_rate", "--format", "mermaid")
    assert len(content["nodes"]) == sum('"' in line for line in chart.splitlines())
    events = [json.loads(line) for line in run("late_rate", "--up", "--format", "openlineage").splitlines()]
    made = {event["outputs"][0]["name"]: event["outputs"][0]["facets"] for event in events}
    fields = made["gemel.main.stg_flights"]["columnLineage"]["fields"]["departure_delay"]["inputFields"]
    assert [(each["name"], each["field"]) for each in fields] == [("gemel.nycflights13.flights", "dep_delay")]


def test_a_run_is_reported_as_it_begins_and_as_it_ends(inside, example, tmp_path, capsys, monkeypatch):
    file = tmp_path / "events.jsonl"
    assert main(["generate", "--openlineage", str(file)]) == 0
    begun, ended = map(json.loads, file.read_text().splitlines())
    assert (begun["eventType"], ended["eventType"]) == ("START", "COMPLETE")
    assert begun["run"]["runId"] == ended["run"]["runId"]
    assert begun["job"]["namespace"] == "gemel_flights"
    names = {output["name"] for output in ended["outputs"]}
    assert {"gemel.main.carrier_punctuality", "gemel.main.plane_history"} <= names
    monkeypatch.setenv(VARIABLE, str(file))
    generated = example / "models/features/plane_history.sql"
    text = generated.read_text()
    generated.write_text(text + "-- changed by hand")
    assert main(["generate", "--check"]) == 1
    generated.write_text(text)
    failed = json.loads(file.read_text().splitlines()[-1])
    assert failed["eventType"] == "FAIL"
    assert failed["run"]["facets"]["errorMessage"]["message"] == "generate ended with exit code 1"


def test_what_goes_online_is_reported_for_the_views_that_were_chosen(inside, example, tmp_path):
    file, asked = tmp_path / "events.jsonl", []

    @tells_openlineage("materialize")
    def materialize(project, *, views):
        asked.append(views)

    materialize(open_session(example), openlineage=str(file), views=("carrier_punctuality",))
    assert asked == [("carrier_punctuality",)]
    begun, ended = map(json.loads, file.read_text().splitlines())
    assert (begun["eventType"], ended["eventType"]) == ("START", "COMPLETE")
    assert ended["inputs"] == [{"namespace": "duckdb://gemel.duckdb", "name": "gemel.main.carrier_punctuality"}]
    (online,) = ended["outputs"]
    assert online["name"] == "online.carrier_punctuality"
    fields = online["facets"]["columnLineage"]["fields"]["late_rate_7d"]["inputFields"]
    assert [(each["name"], each["field"]) for each in fields] == [("gemel.main.carrier_punctuality", "late_rate_7d")]


def test_in_python_a_lineage_prints_what_the_shell_shows(example, run):
    late_rate = gemel.load(example).lineage("late_rate")
    assert f"{late_rate}\n" == run("late_rate")
    assert [node.name for node in late_rate.impact.groups["feature_service"]] == [
        "departure_delay_v1",
        "departure_delay_v2",
    ]
