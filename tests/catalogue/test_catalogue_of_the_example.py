"""The catalogue of the worked example after `dbt parse`: every kind of definition has its page."""

from pathlib import Path

import pytest

import gemel
from gemel.catalogue.content import Link, Numbers
from gemel.catalogue.pages import gather

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def content(parsed_example):
    with gemel.load(parsed_example) as project:
        return gather(project, Numbers({}, {}))


def facts(content, id):
    return dict(content.pages[id].facts)


def test_every_kind_of_definition_has_a_page_and_no_link_is_broken(content):
    kinds = {node.kind for node in content.nodes}
    assert kinds >= {"metric", "measure", "dimension", "entity", "saved_query", "bi_view", "feature_view", "feature"}
    assert kinds >= {"feature_service", "exposure", "input", "model", "source", "column"}
    ids = {node.id for node in content.nodes}
    for page in content.pages.values():
        named = [value.id for _, value in page.facts if isinstance(value, Link)] + [id for _, id in page.groups]
        assert ids.issuperset([*named, *(id for _, listed in page.lists for id in listed)])
    assert ids.issuperset(end for source, target, _ in content.edges for end in (source, target))
    assert not content.gaps


def test_the_page_of_a_metric_has_its_inputs_its_place_and_its_tests(content):
    page_facts = facts(content, "metric:late_rate")
    assert page_facts["Numerator"] == Link("metric:late_departures")
    assert page_facts["Defined in"].text.startswith("metrics/punctuality.yml:")
    assert [value for term, value in content.pages["metric:late_rate"].facts if term == "Test"]
    assert ("origin__name", "dimension:origin__name") in content.pages["metric:late_rate"].groups


def test_the_page_of_a_feature_view_has_its_schedule_and_its_sql(content):
    page_facts = facts(content, "feature_view:carrier_punctuality")
    assert (page_facts["Owner"], page_facts["Rows"], page_facts["Delay"]) == (
        "ml@example.com",
        "one for each day",
        "2 hours",
    )
    page = content.pages["feature_view:carrier_punctuality"]
    assert page.sql == (ROOT / "models/features/carrier_punctuality.sql").read_text()
    assert "feature:carrier_punctuality.late_rate_7d" in dict(page.lists)["Features"]


def test_the_page_of_a_feature_has_its_metric_and_window_or_its_expression(content):
    page_facts = facts(content, "feature:carrier_punctuality.late_rate_7d")
    assert (page_facts["Metric"], page_facts["Window"]) == (Link("metric:late_rate"), "the 7 days before the moment")
    [on_demand] = [node for node in content.nodes if node.kind == "feature_view" and node.name == "departure_context"]
    own = [node.id for node in content.nodes if node.kind == "feature" and node.name.startswith(f"{on_demand.name}.")]
    assert all(facts(content, id)["Computed"] == "on request" for id in own)
    assert own


def test_lineage_leads_from_the_raw_column_to_the_feature_service(content):
    onward = {}
    for source, target, _ in content.edges:
        onward.setdefault(source, []).append(target)
    reached = level = {"column:nycflights13.flights.dep_delay"}
    while level:
        level = {end for each in level for end in onward.get(each, ())} - reached
        reached = reached | level
    assert reached >= {"metric:late_rate", "feature_service:departure_delay_v1", "exposure:punctuality"}
