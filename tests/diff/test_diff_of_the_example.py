"""gemel diff on the worked example: "late" goes from 15 to 30 minutes, in a project below its repository's root."""

import hashlib
import json
import shutil
import subprocess
from types import SimpleNamespace

import duckdb
import pytest

import gemel
from gemel.cli import main
from worlds.projects import ROOT, run_dbt

# What foreign libraries warn of, now and when their objects are collected, is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")


def git(folder, *arguments):
    own = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *own, *arguments], check=True, capture_output=True)


def commit(repository, message):
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", message)


@pytest.fixture(scope="module")
def project(parsed_example, tmp_path_factory):
    """Three commits: one that dbt cannot parse, the example, and the example where "late" is 30 minutes. The database
    is built by the second."""
    repository = tmp_path_factory.mktemp("repository")
    project = repository / "analytics"
    git(repository, "init", "-qb", "main")
    shutil.copytree(parsed_example, project)
    shutil.copytree(ROOT / "data", project / "data")
    (project / "tests/dbt").mkdir(parents=True)
    (repository / ".gitignore").write_text("target/\nlogs/\n*.duckdb\n.user.yml\n")
    broken = project / "metrics" / "broken.yml"
    broken.write_text("metrics:\n  - name: broken\n    type: ratio\n")
    commit(repository, "broken")
    broken.unlink()
    commit(repository, "late is 15 minutes")
    git(repository, "tag", "fifteen")
    run_dbt(project, "run", "--select", "+flights", "+airlines", "+weather")
    flights = project / "models/marts/flights.sql"
    content = flights.read_text()
    assert content.count("departure_delay > 15") == 1
    flights.write_text(content.replace("departure_delay > 15", "departure_delay > 30"))
    commit(repository, "late is 30 minutes")
    return project


@pytest.fixture
def diff(project, monkeypatch, capsys):
    """`gemel diff` in the project: `.code`, `.out` and `.err`."""
    monkeypatch.chdir(project)

    def run(*arguments):
        code = main(["diff", *arguments])
        out, err = capsys.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return run


def test_everything_that_late_touches_is_named(diff):
    result = diff("HEAD~1", "--format", "json")
    assert result.code == 0, result.err
    content = json.loads(result.out)
    seen: dict[str, set[str]] = {}
    for each in content["changes"]:
        seen.setdefault(f"{each['change']} {each['kind']}", set()).add(each["name"])
    assert seen == {
        "changed model": {"flights"},
        "touched dimension": {"flights.is_late_departure"},
        "touched metric": {
            *("late_departures", "late_rate", "late_departures_7d", "late_rate_7d"),
            *("knock_on_departures", "knock_on_rate"),
        },
        "touched saved query": {"carrier_scorecard", "late_routes", "morning_at_kennedy"},
        "touched feature view": {"carrier_punctuality", "origin_congestion", "plane_knock_on"},
        "touched feature": {
            *("carrier_punctuality.late_rate_7d", "carrier_punctuality.late_rate_28d"),
            *("origin_congestion.late_departures_1h", "origin_congestion.late_departures_3h"),
            *("origin_congestion.late_rate_3h", "origin_congestion.late_rate_1d"),
            *("plane_knock_on.knock_on_departures_28d", "plane_knock_on.knock_on_rate_28d"),
        },
        "touched feature service": {"departure_delay_v1", "departure_delay_v2"},
        "touched view": {"carrier_scorecard", "flights_wide", "late_routes"},
        "touched exposure": {"departure_delay_v1", "departure_delay_v2", "punctuality"},
    }
    ways = {each["name"]: each["causes"] for each in content["changes"] if each["kind"] == "metric"}
    assert ways["late_rate"] == [["metric late_departures", "model flights (is_late_departure)"]]


def test_the_late_rate_of_each_carrier_moves_as_counted_by_hand(diff, project):
    database = project / "gemel.duckdb"
    held = hashlib.sha256(database.read_bytes()).hexdigest()
    result = diff("HEAD~1", "--metrics", "late_rate", "--group-by", "carrier__name", "--format", "json")
    assert result.code == 0, result.err
    assert "dbt compile" not in result.err
    [moved] = json.loads(result.out)["numbers"]
    with duckdb.connect(str(database), read_only=True) as connection:
        rows = connection.sql("""
            select name, avg((departure_delay > 15)::int) as before, avg((departure_delay > 30)::int) as after
            from flights as f left join airlines as a using (carrier) where departure_delay is not null
            group by all order by before - after desc, name
        """).fetchall()  # fmt: skip
    assert (moved["groups"], moved["moved"]) == (16, 16)
    assert moved["group_by"] == ["carrier__name"]
    name, before, after = rows[0]
    assert moved["examples"][0]["group"] == {"carrier__name": name}
    assert moved["examples"][0]["before"] == pytest.approx(before) and moved["largest"] == pytest.approx(before - after)
    assert moved["mean"] == pytest.approx(sum(after - before for _, before, after in rows) / 16)

    result = diff("HEAD~1", "--metrics", "late_rate", "--group-by", "carrier__name")
    lines = [line.rsplit(maxsplit=4) for line in result.out.splitlines()]
    shown = {
        line[0]: (float(line[1]), float(line[2])) for line in lines if line and line[0] in {row[0] for row in rows}
    }
    assert shown == {name: (pytest.approx(b, abs=1e-4), pytest.approx(a, abs=1e-4)) for name, b, a in rows}
    assert "late_rate: 16 of 16 groups moved" in result.out and "how the differences are spread" in result.out
    assert hashlib.sha256(database.read_bytes()).hexdigest() == held, "the user's tables are as they were"


def test_features_move_as_counted_by_hand_too(diff, project):
    result = diff(
        "HEAD~1", "--numbers", "--start-time", "2013-10-17T21:00", "--end-time", "2013-10-17T22:00", "--format", "json"
    )
    assert result.code == 0, result.err
    numbers = {each["name"]: each for each in json.loads(result.out)["numbers"]}
    with duckdb.connect(str(project / "gemel.duckdb"), read_only=True) as connection:
        [(before, after)] = connection.sql("""
            select count(*) filter (departure_delay > 15), count(*) filter (departure_delay > 30) from flights
            where origin = 'EWR'
            and outcome_known_at_utc >= '2013-10-17 21:00' and outcome_known_at_utc < '2013-10-17 22:00'
        """).fetchall()
    moved = numbers["origin_congestion.late_departures_1h"]
    assert moved["group_by"] == ["origin", "event_timestamp"] and moved["groups"] == 6
    assert {
        "group": {"origin": "EWR", "event_timestamp": "2013-10-17T22:00:00"},
        "before": before,
        "after": after,
        "difference": after - before,
        "relative": (after - before) / before,
    } in moved["examples"]
    assert {"late_rate", "late_departures", "plane_knock_on.knock_on_rate_28d"} <= numbers.keys()


def test_a_candidate_of_another_name_runs_in_the_shadow_of_a_metric(diff, capsys):
    whole = ["-g", "metric_time__year", "--format", "json"]
    rates = {}
    for candidate in ("late_arrival_rate", "cancellation_rate"):
        result = diff("HEAD", "-m", "late_rate", "--candidate", candidate, *whole)
        assert result.code == 0, result.err
        [moved] = json.loads(result.out)["numbers"]
        assert (moved["name"], moved["groups"]) == ("late_rate", 1)
        rates[candidate] = moved["examples"][0]
    assert rates["late_arrival_rate"]["before"] == rates["cancellation_rate"]["before"]
    assert main(["query", "-m", "late_arrival_rate,cancellation_rate", "--format", "json"]) == 0
    [asked] = json.loads(capsys.readouterr().out)
    assert {name: example["after"] for name, example in rates.items()} == pytest.approx(asked)
    assert diff("HEAD", "--candidate", "late_rate").code == 2
    result = diff("HEAD", "-m", "late_rate", "--candidate", "late_arival_rate")
    assert (result.code, "did you mean late_arrival_rate" in result.err) == (1, True)


@pytest.mark.parametrize(("allowed", "code"), [("50%", 0), ("1%", 1)])
def test_ci_can_limit_how_far_numbers_move(diff, allowed, code):
    result = diff("fifteen", "-m", "late_rate", "-g", "metric_time__year", "--max-change", allowed, "-q")
    assert result.code == code
    assert ("metric late_rate moves by up to" in result.err) == bool(code)


def test_ci_can_forbid_kinds_of_changes(diff):
    assert diff("HEAD~1", "--fail-on", "removed").code == 0
    result = diff("HEAD~1", "--fail-on", "removed,changed", "-q")
    assert (result.code, result.err) == (1, "model flights is changed\n")
    assert diff("HEAD~1", "--fail-on", "deleted").code == 2
    assert diff("HEAD~1", "--max-change", "0.1").code == 2


def test_markdown_is_for_a_pull_request_and_has_the_sql(diff):
    result = diff("HEAD~1", "--format", "markdown", "--sql")
    assert result.out.startswith("### gemel diff: HEAD~1 (")
    assert (
        "| touched | metric | `late_rate` | metric late_departures ← model flights (is_late_departure) |" in result.out
    )
    assert "-        coalesce(landed.departure_delay > 15, false) as is_late_departure," in result.out
    assert result.out.count("```") == 2


def test_what_is_not_committed_is_compared_and_said(diff, project):
    views = project / "feature_views" / "departure_delay.yml"
    content = views.read_text()
    try:
        later = content.replace("delay: 2 hours", "delay: 3 hours")
        views.write_text(later.replace("[1 day, 7 days, 28 days]", "[7 days, 28 days]"))
        result = diff("HEAD", "--format", "json")
    finally:
        views.write_text(content)
    seen = {(each["change"], each["kind"], each["name"]) for each in json.loads(result.out)["changes"]}
    assert "the files as they are (1 not committed)" in result.err
    assert ("changed", "feature view", "carrier_punctuality") in seen
    assert ("removed", "feature", "carrier_punctuality.flights_1d") in seen
    assert ("touched", "feature", "carrier_punctuality.flights_7d") in seen
    assert ("touched", "feature service", "departure_delay_v1") in seen
    assert not {kind for _, kind, _ in seen} & {"metric", "model"}
    again = diff("HEAD")
    assert (again.code, again.out) == (0, "")
    assert again.err.endswith("no definition changed\n")


def test_a_dimension_alone_of_a_view_is_compared_at_every_step_of_its_facts(diff, project):
    airlines = project / "models/marts/airlines.sql"
    content = airlines.read_text()
    try:
        airlines.write_text(content.replace("    name\n", "    replace(name, 'United', 'Untied') as name\n"))
        result = diff("HEAD", "--numbers", "--start-time", "2013-10-17", "--end-time", "2013-10-18", "--format", "json")
    finally:
        airlines.write_text(content)
    assert result.code == 0, result.err
    numbers = {(each["kind"], each["name"]): each for each in json.loads(result.out)["numbers"]}
    moved = numbers["feature", "carrier_punctuality.name"]
    assert moved["group_by"] == ["carrier", "event_timestamp"]
    assert (moved["groups"], moved["moved"]) == (2 * 16, 2)
    assert {example["group"]["carrier"] for example in moved["examples"]} == {"UA"}
    assert {example["after"] for example in moved["examples"]} == {"Untied Air Lines Inc."}
    assert ("feature", "carrier_punctuality.flights_7d") not in numbers


def test_a_base_that_does_not_parse_says_dbt_s_own_words(diff):
    result = diff("HEAD~2")
    assert result.code == 1
    assert "G762 HEAD~2 (" in result.err and "cannot be read: " in result.err and "G603 dbt parse failed" in result.err


def test_a_revision_that_git_does_not_know(diff):
    result = diff("fiften")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("G761 there is no file or directory 'fiften', and no such git revision")
    assert "did you mean fifteen?" in result.err
    result = diff("models")
    assert result.err.startswith(
        "G761 the directory 'models' has neither a dbt_project.yml nor a semantic_manifest.json"
    )


def test_a_revision_before_the_project_was_there_is_reported_as_such(diff, project):
    tree = subprocess.run(["git", "mktree"], cwd=project, input="", capture_output=True, text=True, check=True)
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    made = ["git", *who, "commit-tree", tree.stdout.strip(), "-m", "nothing yet"]
    empty = subprocess.run(made, cwd=project, capture_output=True, text=True, check=True).stdout.strip()
    git(project, "tag", "before", empty)
    result = diff("before")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("G762 before (")
    assert "has no dbt_project.yml in this folder" in result.err


def test_outside_of_git_a_directory_or_a_saved_manifest_is_needed(diff, project, tmp_path, monkeypatch):
    copied = tmp_path / "copy"
    shutil.copytree(project, copied)
    monkeypatch.chdir(copied)
    result = diff("HEAD~1")
    assert (result.code, result.err.split()[0]) == (1, "G760")
    saved = tmp_path / "saved.json"
    shutil.copy(project / "target" / "semantic_manifest.json", saved)
    result = diff(str(saved))
    assert (result.code, result.out) == (0, "")
    assert "dbt models are not compared: there is no manifest.json beside" in result.err
    result = diff("HEAD~1", "--manifest", str(saved), "--database", "none.duckdb")
    assert (result.code, result.err.split()[0]) == (1, "G760")


def test_what_git_says_of_a_repository_that_it_does_not_read_is_reported(diff, monkeypatch, tmp_path):
    """As of another user's folder, which CI mounts: git then asks for `safe.directory`."""
    config = tmp_path / "gitconfig"
    config.write_text("[core\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    result = diff("HEAD~1")
    assert result.err.startswith("G760 there is no file or directory 'HEAD~1', and git fails: bad config line 1")


def test_in_python_a_comparison_prints_what_the_shell_shows(diff, project):
    shown = diff("HEAD~1")
    since = gemel.load(project).diff("HEAD~1")
    assert str(since).splitlines() == [*since.heading, *shown.out.splitlines(), shown.err.splitlines()[-1]]
    assert {change.name for change in since.changes if change.kind == "model"} == {"flights"}
