"""Lineage in the words of other tools: OpenLineage's events, which its schema takes, and Mermaid's flowcharts."""

import datetime as dt
import json
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from gemel.engines.lookup import engine_for_adapter
from gemel.graph import mermaid, openlineage
from gemel.graph.openlineage import Namespaces, namespace, write_jobs, write_run
from worlds.market import ORDERS, market, table

SCHEMA = json.loads(Path(__file__).with_name("openlineage.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
SPACES = Namespaces("duckdb://market.duckdb", "market")
NOW = dt.datetime(2024, 5, 6, 7, 8, 9, tzinfo=dt.UTC)
RUN = uuid.UUID("11111111-2222-3333-4444-555555555555")


@pytest.fixture(scope="module")
def lineage():
    return market()


def events_of(lineage, *names):
    nodes = [node for name in names for node in lineage.find(name)]
    return {event["job"]["name"]: event for event in write_jobs(lineage, nodes, SPACES, now=NOW)}


def fields_of(event):
    return event["outputs"][0]["facets"]["columnLineage"]["fields"]


def test_every_event_is_valid(lineage):
    nodes = lineage.definitions.nodes.values()
    tables = [lineage.node(id) for id in lineage.tables.ids().values()]
    events = list(write_jobs(lineage, [*nodes, *tables], SPACES, now=NOW))
    assert len(events) > 10
    for event in events:
        VALIDATOR.validate(event)
        assert json.loads(openlineage.line(event)) == event
        assert "\n" not in openlineage.line(event)


def test_a_metric_is_a_dataset_of_one_field_with_what_it_is_made_of(lineage):
    event = events_of(lineage, "return_rate")["metric.return_rate"]
    assert event["inputs"] == [
        {"namespace": "market", "name": "metric.returned"},
        {"namespace": "market", "name": "metric.sales"},
        {"namespace": "duckdb://market.duckdb", "name": "market.main.orders"},
    ]
    fields = {each["field"]: each["transformations"] for each in fields_of(event)["return_rate"]["inputFields"]}
    assert fields["returned"] == [{"type": "DIRECT", "subtype": "TRANSFORMATION", "description": "", "masking": False}]
    assert [each["subtype"] for each in fields["is_paid"]] == ["FILTER"]
    assert [each["type"] for each in fields["is_paid"]] == ["INDIRECT"]


def test_a_feature_table_has_its_features_as_fields_and_a_service_takes_them(lineage):
    view = events_of(lineage, "feature_view:buying")["feature_view.buying"]
    assert view["outputs"][0]["name"] == "market.main.buying"
    assert view["outputs"][0]["facets"]["ownership"]["owners"] == [{"name": "ml@example.com"}]
    assert fields_of(view)["country"]["inputFields"][0]["name"] == "market.main.customers"
    service = events_of(lineage, "churn_v1")["feature_service.churn_v1"]
    taken = fields_of(service)["return_rate_7d"]["inputFields"]
    assert [(each["name"], each["field"]) for each in taken] == [("market.main.buying", "return_rate_7d")]


def test_an_ephemeral_model_is_no_dataset_but_a_way_to_those_that_it_reads():
    half = replace(
        table("half", ORDERS.id, compiled="select amount / 2 as part from market.main.orders where status = 'paid'"),
        materialized="ephemeral",
        relation_name=None,
        file="models/half.sql",
    )
    sql = "select part, 1 as one from __dbt__cte__half where part > 0"
    lineage = market(tables=(half, table("mart", half.id, compiled=sql)))
    event = events_of(lineage, "mart", "half")
    assert [*event] == ["model.mart"]
    orders = {"namespace": "duckdb://market.duckdb", "name": "market.main.orders"}
    assert event["model.mart"]["inputs"] == [orders]
    [part] = fields_of(event["model.mart"])["part"]["inputFields"]
    assert (part["name"], part["field"]) == ("market.main.orders", "amount")
    assert [each["subtype"] for each in part["transformations"]] == ["TRANSFORMATION"]
    rows = event["model.mart"]["outputs"][0]["facets"]["columnLineage"]["dataset"]
    assert {(each["name"], each["field"]) for each in rows} == {
        ("market.main.orders", "amount"),
        ("market.main.orders", "status"),
    }


def test_runs_begin_and_end_well_or_badly(lineage):
    begun = write_run("gemel.build", "START", SPACES, run=RUN, now=NOW)
    views = lineage.find("feature_view:buying")
    done = write_run("gemel.build", "COMPLETE", SPACES, run=RUN, now=NOW)
    online = openlineage.with_online(done, lineage, views, SPACES)
    failed = write_run("gemel.build", "FAIL", SPACES, run=RUN, now=NOW)
    events = [
        begun,
        openlineage.with_datasets(done, lineage, views, SPACES),
        online,
        openlineage.with_error(failed, "G603 dbt build failed"),
    ]
    for event in events:
        VALIDATOR.validate(event)
    assert begun["eventTime"] == "2024-05-06T07:08:09Z"
    assert [each["name"] for each in online["inputs"]] == ["market.main.buying"]
    assert [each["name"] for each in online["outputs"]] == ["online.buying"]
    assert events[3]["run"]["facets"]["errorMessage"]["message"] == "G603 dbt build failed"
    broken = {key: value for key, value in begun.items() if key != "run"} | {"eventTime": 5}
    assert not VALIDATOR.is_valid(broken)


def test_a_warehouse_is_called_as_other_integrations_call_it():
    assert namespace(engine_for_adapter("duckdb"), {"path": "shop.duckdb"}) == "duckdb://shop.duckdb"
    assert (
        namespace(engine_for_adapter("postgres"), {"host": "db", "port": 5432, "password": "secret"})
        == "postgres://db:5432"
    )
    assert namespace(engine_for_adapter("bigquery"), {"project": "p"}) == "bigquery"


def test_a_flowchart_has_whole_lines_for_values_and_dotted_ones_for_the_rest(lineage):
    lines = list(mermaid.draw(lineage.upstream(*lineage.find("nordic_revenue"))))
    assert lines[0] == "flowchart LR"
    assert '    n0(["metric nordic_revenue"]):::start' in lines
    handles = {line.split('"')[1]: line.split("(")[0].split("[")[0].strip() for line in lines if '"' in line}
    assert f"    {handles['measure revenue']} --> n0" in lines
    assert f"    {handles['dimension customer__country']} -. filter .-> n0" in lines


def test_no_name_breaks_out_of_a_flowchart():
    from gemel.graph.nodes import Node, Part

    node = Node("exposure", 'a"]; click n0 "<b>#')
    (_, line, _) = mermaid.draw(Part((node,), (node,), ()))
    assert line == '    n0{{"exposure a#quot;]; click n0 #quot;#lt;b#gt;#35;"}}:::start'
