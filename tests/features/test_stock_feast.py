"""Feast's own commands on what gemel generates: apply, materialize, materialize-incremental, monitor, serve."""

import datetime as dt
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import duckdb
import pytest

# What foreign libraries warn of, now and when their objects are collected, is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")

ANA = {"orders_7d": 1, "return_rate_all": 0.5, "revenue_7d": 2.25, "nick": "Ada"}


@pytest.fixture(scope="module")
def project(built_sales, tmp_path_factory):
    """A copy of the built project without registry and online store, and with settings of Feast's own processes."""
    folder = shutil.copytree(built_sales / "as_built", tmp_path_factory.mktemp("stock") / "shop")
    for name in ("registry.db", "registry.home", "online_store.db"):
        (folder / "feature_views/data" / name).unlink(missing_ok=True)
    with (folder / "feature_views/feature_store.yaml").open("a") as settings:
        settings.write(
            "auth: {type: no_auth}\nbatch_engine: {type: local}\nfeature_server: {type: local, enabled: true}\n"
            "materialization: {pull_latest_features: true}\nopenlineage: {enabled: false}\n"
        )
    return folder


@pytest.fixture
def feast(project, monkeypatch):
    """`feast -c feature_views ...` in the project. It must not fail."""
    from click import unstyle
    from click.testing import CliRunner
    from feast.cli.cli import cli

    def run(*arguments):
        monkeypatch.chdir(project)  # Feast itself changes it
        result = CliRunner().invoke(cli, ["-c", "feature_views", *arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return unstyle(result.output)

    return run


@pytest.fixture
def gemel(project, monkeypatch, capsys):
    from gemel.cli import main

    def run(*arguments):
        monkeypatch.chdir(project)
        code = main(arguments)
        captured = capsys.readouterr()
        assert code == 0, captured.out + captured.err
        return captured.err

    return run


def now():
    return dt.datetime.now(dt.UTC).replace(tzinfo=None).isoformat(timespec="seconds")


def read(feast, customer):
    names = ("orders_7d", "return_rate_all", "revenue_7d", "nick")
    features = [word for name in names for word in ("-f", f"buying:{name}")]
    answer = json.loads(feast("get-online-features", "-e", f"customer={customer}", *features))
    return {name: answer[name][0] for name in names}


def test_the_commands_of_feast_do_what_ours_do(project, feast, gemel):
    output = feast("apply")
    for created in ("entity customer", "feature view buying", "feature view visiting", "feature service churn_v1"):
        assert f"Created {created}" in output
    output = feast("materialize-incremental", now())  # nothing was materialized: Feast begins a year ago
    assert "start date will be set to 1 year before" in output
    assert read(feast, "a") == dict.fromkeys(ANA)

    feast("materialize", "1970-01-01T00:00:00", now())
    assert read(feast, "a") == ANA
    (project / "feature_views/data/online_store.db").unlink()
    feast("apply")
    assert "Feast materializes" not in gemel("features", "materialize")
    assert read(feast, "a") == ANA

    file = project / "feature_views/data/buying.parquet"
    [(built,)] = duckdb.sql(f"select max(created_timestamp) from '{file}'").fetchall()
    assert f"from {built.replace(microsecond=0)}+00:00" in feast("materialize-incremental", now())
    assert read(feast, "a") == ANA


def test_feast_monitors_the_tables(project, feast):
    output = feast("monitor", "run")
    assert "Feature views computed: 2" in output and "Features computed: 40" in output
    from feast import FeatureStore
    from feast.monitoring.monitoring_service import MonitoringService

    service = MonitoringService(FeatureStore(repo_path=str(project / "feature_views")))
    [row] = service.get_baseline("shop", "buying", "revenue_7d")
    [by_hand] = duckdb.sql(
        "select count(*), count(*) - count(revenue_7d), avg(revenue_7d), max(revenue_7d) "
        f"from '{project}/feature_views/data/buying.parquet'"
    ).fetchall()
    assert [row[name] for name in ("row_count", "null_count", "mean", "max_val")] == pytest.approx(by_hand)


def test_feast_serves_what_gemel_materialized(project, gemel, feast):
    feast("apply")
    gemel("features", "materialize")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from feast.cli.cli import cli; cli()", "-c", "feature_views", "serve"]
    with (project / "serve.log").open("w") as log:
        server = subprocess.Popen([*command, "-p", str(port)], cwd=project, stdout=log, stderr=log)
        try:
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/get-online-features",
                json.dumps(
                    {"feature_service": "churn_v1", "entities": {"customer": ["a", "z"], "shop": [10, 10]}}
                ).encode(),
                {"Content-Type": "application/json"},
            )
            answer = json.loads(ask_until_it_serves(request, server))
        finally:
            server.terminate()
            server.wait(30)
    served = dict(zip(answer["metadata"]["feature_names"], answer["results"], strict=True))
    assert {name: served[name]["values"][0] for name in ANA} == ANA
    assert served["nick"]["statuses"] == ["PRESENT", "NOT_FOUND"]


def ask_until_it_serves(request, server):
    deadline = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.read()
        except urllib.error.URLError as error:
            assert server.poll() is None and time.monotonic() < deadline, error
            time.sleep(0.3)
