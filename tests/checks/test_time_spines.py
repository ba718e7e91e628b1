"""Facts outside the time spine: reported with the tables, and with a query that asks for them."""

import json

import duckdb
import pytest

import gemel
from checks.shop import CUSTOMERS, DAYS, REVENUE, SALES, TABLES, findings_in, graph_of
from checks.test_checks import derived
from gemel import checks
from gemel.cli import main
from gemel.compiler.names.resolution import resolve
from gemel.compiler.question.parsing import make_query

WEEKLY = "{name: weekly, type: cumulative, type_params: {measure: {name: amount}, window: 7 days}}"
SPREAD = """
INSERT INTO sales VALUES (2, 7, DATE '2023-12-30', 'n', 5), (3, 7, DATE '2025-02-01', 's', 5), (4, 7, NULL, 's', 5);
"""
OUTSIDE = (
    "G167 2 facts of 'sales', from 2023-12-30 to 2025-02-01, are outside time spine 'days', which has 2024-01-01 to "
    "2024-12-31: weekly has no values at those times"
)


def test_facts_outside_the_spine_of_a_metric_are_reported_if_rows_are_read(tmp_path):
    assert findings_in(tmp_path, WEEKLY, tables=SPREAD) == []
    (tmp_path / "shop.duckdb").unlink()
    assert findings_in(tmp_path, WEEKLY, tables=SPREAD, check=checks.check_rows) == [OUTSIDE]


def test_facts_outside_a_spine_that_no_metric_uses_are_not_reported(tmp_path):
    assert findings_in(tmp_path, tables=SPREAD, check=checks.check_rows) == []


def test_facts_within_the_first_and_the_last_period_of_the_spine_are_not_outside(tmp_path):
    inside = "INSERT INTO sales VALUES (2, 7, DATE '2024-01-01', 'n', 5), (3, 7, DATE '2024-12-31', 's', 5);"
    assert findings_in(tmp_path, WEEKLY, tables=inside, check=checks.check_rows) == []


def asked(folder, metrics, *group_by, **more):
    """The findings of a query."""
    query = make_query(metrics, group_by, **more)
    return findings_in(
        folder,
        WEEKLY,
        derived("growth", "revenue - ago", "revenue", "{name: revenue, alias: ago, offset_window: 1 month}"),
        tables=SPREAD,
        check=lambda graph, warehouse: checks.check_spines(graph, resolve(graph, query), warehouse),
    )


def test_a_query_reports_facts_outside_the_spine_that_it_uses(tmp_path):
    assert asked(tmp_path, ["weekly"], "metric_time__day") == [OUTSIDE]
    (tmp_path / "shop.duckdb").unlink()
    assert asked(tmp_path, ["growth", "revenue"], "metric_time__day") == [OUTSIDE.replace("weekly", "growth")]


@pytest.mark.parametrize(
    ("metrics", "more"),
    [
        (["revenue"], {}),
        (["weekly"], {"start": "2024-02-01", "end": "2024-03-01"}),
        (["weekly"], {"where": ["{{ Dimension('sale__region') }} = 'north'"]}),
    ],
    ids=["no spine", "a constraint inside the spine", "a filter that no fact outside passes"],
)
def test_a_query_is_silent_where_nothing_that_it_asks_for_is_outside(tmp_path, metrics, more):
    assert asked(tmp_path, metrics, "metric_time__day", **more) == []


def test_facts_outside_are_those_that_pass_the_filters(tmp_path):
    northern = {"where": ["{{ Dimension('sale__region') }} = 'n'"]}
    (finding,) = asked(tmp_path, ["weekly"], "metric_time__day", **northern)
    assert finding.startswith("G167 1 fact of 'sales', on 2023-12-30, is outside time spine 'days'")


def test_facts_of_a_month_that_the_spine_has_in_part_are_inside_by_month(tmp_path):
    half = "DELETE FROM days WHERE day < DATE '2024-01-10';"
    lifelong = "{name: filled, type: simple, type_params: {measure: {name: amount, join_to_timespine: true}}}"
    for grain, count in (("month", 0), ("day", 1)):
        query = make_query(["filled"], [f"metric_time__{grain}"])
        (tmp_path / "shop.duckdb").unlink(missing_ok=True)
        found = findings_in(
            tmp_path,
            lifelong,
            tables=half,
            check=lambda graph, at, query=query: checks.check_spines(graph, resolve(graph, query), at),
        )
        assert len(found) == count


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The shop as a manifest and a DuckDB file."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    import yaml

    raw = {
        "semantic_models": [yaml.safe_load(model) for model in (SALES, CUSTOMERS)],
        "metrics": [yaml.safe_load(metric) for metric in (REVENUE, WEEKLY)],
        "project_configuration": {"time_spines": [yaml.safe_load(DAYS)]},
    }
    (tmp_path / "semantic_manifest.json").write_text(json.dumps(raw))
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
        connection.execute(TABLES + SPREAD)
    return tmp_path


def test_an_answer_has_warnings_and_the_command_line_prints_them_after_the_rows(project, capsys):
    where = ["--manifest", str(project / "semantic_manifest.json"), "--database", str(project / "shop.duckdb")]
    asked = ["query", "-m", "weekly", "-g", "metric_time__month", "--format", "csv", *where]
    assert main(asked) == 0
    out, err = capsys.readouterr()
    assert out == "metric_time__month,weekly\n2024-01-01T00:00:00,15\n"
    assert err.splitlines()[0] == OUTSIDE.replace("G167 ", "warning G167 ")
    with gemel.load(project / "semantic_manifest.json", database=project / "shop.duckdb") as opened:
        assert [each.code for each in opened.query(["weekly"], ["metric_time"]).warnings] == ["G167"]
        assert opened.query(["revenue"], ["metric_time"]).warnings == ()


def test_a_query_without_metrics_uses_no_facts():
    graph = graph_of(WEEKLY)
    resolved = resolve(graph, make_query([], ["metric_time"]))
    assert list(checks.spines.off_spine_of(graph, resolved, None)) == []
