"""feature_views/*.yml: what is read, what is refused and where, and that the JSON Schema says the same."""

import json
from textwrap import dedent

import pytest
import yaml
from jsonschema import Draft202012Validator

from gemel.errors import Problems
from gemel.spec.feature_views import (
    SCHEMA,
    DimensionFeature,
    MetricFeature,
    parse_feature_views,
    read_feature_views,
)
from gemel.spec.time import Window

WHOLE = """
    feature_views:
      - name: carrier_punctuality
        entity: carrier
        schedule: day
        known_at: flight__landed_at
        delay: 2 hours
        ttl: 3 days
        online: false
        tags: {team: ops}
        features:
          - metric: flights
            windows: [1 day, 7 days, all time]
          - metric: late_rate
            windows: [1 week]
            name: late_share
            dtype: float32
          - dimension: carrier__name
            as_of: current
    feature_services:
      - name: departure_delay_v1
        features: [carrier_punctuality, other.flights_2h]
        owner: ada@example.com
      - name: ratio_v1
        features: [carrier_punctuality.late_share__numerator]
        owner: Ada
"""
OTHER = """
    feature_views:
      - name: other
        entity: [origin, carrier]
        schedule: hour
        features: [{metric: flights, windows: [2 hours, 90 minutes]}]
"""


def read(*texts):
    return parse_feature_views((f"{'abc'[index]}.yml", dedent(text)) for index, text in enumerate(texts))


def refusals(*texts):
    with pytest.raises(Problems) as caught:
        read(*texts)
    return [str(error).split("\n")[0] for error in caught.value.errors]


def view(**changes):
    """A feature view of one metric, with some of its keys changed, or left out (...)."""
    whole = {
        "name": "v",
        "entity": "carrier",
        "schedule": "day",
        "features": [{"metric": "flights", "windows": ["1 day"]}],
    }
    return {key: value for key, value in (whole | changes).items() if value is not ...}


def service(**changes):
    whole = {"name": "s", "features": ["v"], "owner": "ada"}
    return {key: value for key, value in (whole | changes).items() if value is not ...}


def test_a_view_is_read_with_one_feature_for_each_window():
    spec = read(WHOLE, OTHER.replace("2 hours, 90 minutes", "2 hours"))
    [punctuality, other] = spec.views
    assert punctuality.entities == ("carrier",)
    assert (punctuality.delay, punctuality.ttl) == (Window(2, "hour"), Window(3, "day"))
    assert punctuality.features == (
        MetricFeature("flights_1d", "flights", Window(1, "day")),
        MetricFeature("flights_7d", "flights", Window(7, "day")),
        MetricFeature("flights_all", "flights", None),
        MetricFeature("late_share", "late_rate", Window(1, "week"), dtype="float32"),
        DimensionFeature("name", "carrier__name", current=True),
    )
    assert [feature.name for feature in other.features] == ["flights_2h"]
    assert str(punctuality.features[3].place) == "a.yml:14:17"
    assert [str(reference) for reference in spec.services[0].features] == ["carrier_punctuality", "other.flights_2h"]


def test_all_problems_of_all_files_are_reported_at_once_with_their_places():
    bad = """
        feature_views:
          - name: a
            entity: carrier
            schedul: day
            features: [{metric: flights, windows: [7 days]}]
          - name: b_y
            entity: carrier
            schedule: days
            online: 1
            features:
              - {metric: flights, windows: [36 hours, 1 month, often, 0 days]}
              - {metric: flights, dimension: carrier__name}
    """
    assert refusals(bad, "feature_views: []", "a: [") == [
        "a.yml:3:5: G501 a feature view needs schedule",
        "a.yml:5:5: G501 a feature view has no key 'schedul'",
        "a.yml:7:11: G502 a feature view cannot be named 'b_y': "
        "Feast's DuckDB store drops columns whose names end in _y",
        "a.yml:9:15: G501 schedule cannot be 'days'",
        "a.yml:10:13: G501 online must be true or false, not 1",
        "a.yml:12:47: G504 a window of 1 month does not have a constant length",
        "a.yml:12:56: G504 'often' is not a window",
        "a.yml:12:63: G504 '0 days' is not a window",
        "a.yml:13:9: G501 a feature is either a `metric:` or a `dimension:`",
        "b.yml:1:16: G501 feature_views must be a list with at least one item",
        "c.yml:1:5: G501 not YAML: expected the node content, but found '<stream end>'",
    ]


def test_a_misspelt_key_suggests_the_right_one():
    with pytest.raises(Problems) as caught:
        read("feature_views: [{name: v, entity: c, schedule: day, windows: [], feature: [], features: []}]")
    assert "hint: did you mean features?" in str(caught.value)


def test_a_window_is_a_whole_number_of_the_schedules_steps():
    [message] = refusals(OTHER)
    assert message == "a.yml:6:53: G504 a window of 90 minutes is not a whole number of the schedule's hours"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("flights@1", "lower-case letters"),
        ("flights:1", "lower-case letters"),
        ("Flights", "lower-case letters"),
        ("__flights", "two underscores"),
        ("late_y", "end in _y"),
        ("event_timestamp", "every feature table"),
        ("created_timestamp", "every feature table"),
        ("carrier", "the name of the view's entity"),
    ],
)
def test_names_that_feast_refuses_or_breaks_on_are_refused(name, reason):
    features = [{"metric": "flights", "windows": ["1 day"], "name": name}]
    [message] = refusals(json.dumps({"feature_views": [view(features=features)]}))
    assert "G502" in message
    assert reason in message


def test_duplicate_names_are_refused_across_files():
    twice = {"feature_views": [view(features=[{"metric": "flights", "windows": ["1 day", "24 hours"]}])]}
    assert refusals(json.dumps({"feature_views": [view()]}), json.dumps({"feature_views": [view()]})) == [
        "b.yml:1:29: G503 two feature views are named 'v'"
    ]
    assert refusals(
        "feature_views: [{name: v, name: w, entity: c, schedule: day, features: [{metric: f, windows: [1 day]}]}]"
    ) == ["a.yml:1:27: G501 key 'name' is written twice"]
    assert read(json.dumps(twice)).views[0].features[1].name == "flights_24h"
    same = view(features=[{"metric": "flights", "windows": ["1 day"]}, {"metric": "Flights", "windows": ["1 day"]}])
    assert "G503 two features are named 'flights_1d'" in refusals(json.dumps({"feature_views": [same]}))[0]


def test_a_push_source_has_its_own_name_or_one_after_the_view():
    assert [read(json.dumps({"feature_views": [view(push=p)]})).views[0].push for p in (True, False, "rows")] == [
        "v_push",
        None,
        "rows",
    ]


def test_a_push_source_needs_a_name_of_its_own_and_a_view_that_is_online():
    twice = {"feature_views": [view(push="rows"), view(name="w", push="rows")]}
    assert "G503 the push source of feature view 'w' cannot be named 'rows'" in refusals(json.dumps(twice))[0]
    assert "'v_source': another source has" in refusals(json.dumps({"feature_views": [view(push="v_source")]}))[0]
    assert "G564" in refusals(json.dumps({"feature_views": [view(push=True, online=False)]}))[0]


def test_a_service_takes_only_what_a_view_has():
    assert refusals(WHOLE.replace("other.flights_2h", "carrier_punctuality.late_shar")) == [
        "a.yml:22:37: G503 'carrier_punctuality.late_shar' is in the service already",
    ]
    messages = refusals(
        WHOLE.replace("carrier_punctuality, other.flights_2h", "carrier_punctuality.late_shar, carier.x")
    )
    assert messages == [
        "a.yml:22:16: G505 feature view 'carrier_punctuality' has no feature named 'late_shar'",
        "a.yml:22:47: G505 no feature view named 'carier'",
    ]


def test_one_name_cannot_serve_several_windows():
    features = [{"metric": "flights", "windows": ["1 day", "2 days"], "name": "n"}]
    assert (
        "G502 2 windows cannot share the name 'n'"
        in refusals(json.dumps({"feature_views": [view(features=features)]}))[0]
    )


def test_files_are_found_beside_feasts_own(tmp_path):
    (tmp_path / "a.yml").write_text(json.dumps({"feature_views": [view()]}))
    (tmp_path / "b.yaml").write_text("# nothing yet\n")
    (tmp_path / "feature_store.yaml").write_text("project: flights\n")
    spec = read_feature_views(tmp_path, root=tmp_path.parent)
    assert spec.views[0].place.file == f"{tmp_path.name}/a.yml"
    assert read_feature_views(tmp_path / "none").views == ()


def on_demand(**changes):
    keys = {"name": "o", "inputs": {"x": "int64"}, "features": [{"name": "twice", "expr": "x * 2"}]} | changes
    return {key: value for key, value in keys.items() if value is not ...}


def test_an_on_demand_view_is_what_a_request_brings_and_expressions():
    [read_one] = read(json.dumps({"on_demand_views": [on_demand(owner="ada", tags={"team": "ops"})]})).on_demand
    assert (read_one.name, read_one.inputs, read_one.owner) == ("o", (("x", "int64"),), "ada")
    assert [(each.name, each.expr, each.place.line) for each in read_one.features] == [("twice", "x * 2", 1)]


def test_names_of_an_on_demand_view_are_its_own():
    both = {"feature_views": [view(name="o")], "on_demand_views": [on_demand()]}
    assert "G503 two feature views are named 'o'" in refusals(json.dumps(both))[0]
    same = {"on_demand_views": [on_demand(features=[{"name": "x", "expr": "x * 2"}])]}
    assert "G503 feature 'x' has the name of another feature or input of the view" in refusals(json.dumps(same))[0]
    pushed = {"feature_views": [view(push="o_request")], "on_demand_views": [on_demand()]}
    assert "'o_request': another source has that name" in refusals(json.dumps(pushed))[0]
    served = {"on_demand_views": [on_demand()], "feature_services": [service(features=["o.thrice"])]}
    assert "G505 feature view 'o' has no feature named 'thrice'" in refusals(json.dumps(served))[0]


# Documents on which the reader and the schema must agree: (document, whether it is accepted).
DOCUMENTS = [
    (None, True),
    ({}, True),
    ([], False),
    ({"feature_view": []}, False),
    ({"version": 2, "feature_views": [view()]}, True),
    ({"feature_views": [view()], "feature_services": [service()]}, True),
    ({"feature_views": {}}, False),
    ({"feature_views": []}, False),
    ({"feature_views": ["v"]}, False),
    *(({"feature_views": [view(**{key: ...})]}, False) for key in ("name", "entity", "schedule", "features")),
    ({"feature_views": [view(nam="v")]}, False),
    ({"feature_views": [view(name=1)]}, False),
    ({"feature_views": [view(name="")]}, False),
    ({"feature_views": [view(name="a-b")]}, False),
    ({"feature_views": [view(name="1a")]}, False),
    ({"feature_views": [view(name="_a")]}, False),
    ({"feature_views": [view(name="a__b")]}, True),
    ({"feature_views": [view(name="only_y")]}, False),
    ({"feature_views": [view(name="y")]}, True),
    ({"feature_views": [view(name="created_timestamp")]}, False),
    ({"feature_views": [view(entity=[])]}, False),
    ({"feature_views": [view(entity=["a", "b"])]}, True),
    ({"feature_views": [view(entity=["a", "a"])]}, False),
    ({"feature_views": [view(entity={"name": "a"})]}, False),
    *(({"feature_views": [view(schedule=s)]}, s in ("hour", "day")) for s in ("hour", "day", "month", "Day", 1)),
    ({"feature_views": [view(known_at="flight__landed_at")]}, True),
    ({"feature_views": [view(known_at=None)]}, False),
    *(({"feature_views": [view(delay=d)]}, d == "2 hours") for d in ("2 hours", "0 hours", "2", 2, "1 month", "soon")),
    ({"feature_views": [view(ttl="3 days")]}, True),
    *(({"feature_views": [view(lookback="3 days", detect=d)]}, d is False) for d in (False, "no", None)),
    ({"feature_views": [view(lookback="3 days", detect=True)]}, True),
    ({"feature_views": [view(detect=False)]}, False),
    ({"feature_views": [view(online="yes")]}, False),
    ({"feature_views": [view(online=False)]}, True),
    *(({"feature_views": [view(push=p)]}, True) for p in (True, False, "rows")),
    *(({"feature_views": [view(push=p)]}, False) for p in (None, 1, "a-b", ["rows"])),
    *(({"feature_views": [view(push=p, online=False)]}, p is False) for p in (True, False, "rows")),
    ({"feature_views": [view(as_of="current")]}, True),
    ({"feature_views": [view(as_of="now")]}, False),
    ({"feature_views": [view(tags={"a": "b"})]}, True),
    ({"feature_views": [view(tags={"a": 1})]}, False),
    ({"feature_views": [view(tags=["a"])]}, False),
    ({"feature_views": [view(description="", owner="ada")]}, False),
    ({"feature_views": [view(features=[])]}, False),
    ({"feature_views": [view(features=["flights"])]}, False),
    ({"feature_views": [view(features=[{"metric": "m"}])]}, True),
    ({"feature_views": [view(features=[{"metric": "m", "windows": "7 days"}])]}, False),
    ({"feature_views": [view(features=[{"metric": "m", "windows": []}])]}, False),
    ({"feature_views": [view(features=[{"metric": "m", "windows": [7]}])]}, False),
    ({"feature_views": [view(features=[{"metric": "m", "windows": ["7 Days", "ALL", "1 week"]}])]}, True),
    ({"feature_views": [view(features=[{"metric": "m", "windows": ["all time"], "as_of": "current"}])]}, False),
    ({"feature_views": [view(features=[{"metric": "m", "windows": ["1 year"]}])]}, False),
    ({"feature_views": [view(features=[{"metric": "m", "windows": ["1 day", "1 day"]}])]}, False),
    ({"feature_views": [view(features=[{"metric": "m", "windows": ["1 day"], "dtype": "int64"}])]}, True),
    ({"feature_views": [view(features=[{"metric": "m", "windows": ["1 day"], "dtype": "int"}])]}, False),
    ({"feature_views": [view(features=[{"metric": "m", "windows": ["1 day"], "name": "n"}])]}, True),
    ({"feature_views": [view(features=[{"dimension": "carrier__name"}])]}, True),
    ({"feature_views": [view(features=[{"dimension": "carrier__name", "as_of": "current", "dtype": "string"}])]}, True),
    ({"feature_views": [view(features=[{"dimension": "carrier__name", "windows": ["1 day"]}])]}, False),
    ({"feature_views": [view(features=[{"dimension": "carrier__name", "metric": "m", "windows": ["1 day"]}])]}, False),
    ({"feature_views": [view(features=[{}])]}, False),
    ({"feature_views": [view(name="definition")]}, False),
    ({"on_demand_views": [on_demand()]}, True),
    ({"on_demand_views": []}, False),
    *(({"on_demand_views": [on_demand(**{key: ...})]}, False) for key in ("name", "inputs", "features")),
    ({"on_demand_views": [on_demand(description="d", owner="ada", tags={"a": "b"})]}, True),
    ({"on_demand_views": [on_demand(entity="carrier")]}, False),
    *(({"on_demand_views": [on_demand(inputs={"x": t})]}, t != "int32") for t in ("int64", "timestamp", "int32")),
    *(
        ({"on_demand_views": [on_demand(inputs=i)]}, False)
        for i in ({}, ["x"], {"x": 1}, {"a-b": "int64"}, {"X": "bool"})
    ),
    ({"on_demand_views": [on_demand(inputs={"event_timestamp": "timestamp"})]}, False),
    *(({"on_demand_views": [on_demand(features=f)]}, False) for f in ([], ["x"], [{"name": "n"}], [{"expr": "x"}])),
    ({"on_demand_views": [on_demand(features=[{"name": "n", "expr": 1}])]}, False),
    ({"on_demand_views": [on_demand(features=[{"name": "n", "expr": "x", "dtype": "float64"}])]}, True),
    ({"on_demand_views": [on_demand(features=[{"name": "n", "expr": "x", "dtype": "int32"}])]}, False),
    ({"on_demand_views": [on_demand()], "feature_services": [service(features=["o.twice"])]}, True),
    *(
        ({"feature_views": [view()], "feature_services": [service(**{key: ...})]}, False)
        for key in ("name", "features", "owner")
    ),
    ({"feature_views": [view()], "feature_services": [service(features=["v.flights_1d"])]}, True),
    ({"feature_views": [view()], "feature_services": [service(features=["v.a.b"])]}, False),
    ({"feature_views": [view()], "feature_services": [service(features=["v", "v"])]}, False),
    ({"feature_views": [view()], "feature_services": [service(features=[])]}, False),
    ({"feature_views": [view()], "feature_services": [service(owner={"name": "ada"})]}, False),
    ({"feature_views": [view()], "feature_services": [service(description="d", tags={"a": "b"})]}, True),
]


@pytest.mark.parametrize(("document", "accepted"), DOCUMENTS, ids=lambda value: json.dumps(value)[:100])
def test_the_schema_and_the_reader_accept_the_same(document, accepted):
    schema = Draft202012Validator(json.loads(SCHEMA.read_text()))
    try:
        read(yaml.safe_dump(document))
        taken = True
    except Problems:
        taken = False
    assert (taken, schema.is_valid(document)) == (accepted, accepted)


def test_the_schema_and_the_reader_know_the_same_keys_and_words():
    from gemel.spec.feature_views import DTYPES, SCHEDULES, on_demand, services, views

    parts = json.loads(SCHEMA.read_text())["$defs"]
    assert sorted(parts["feature_view"]["properties"]) == sorted(views.VIEW_KEYS)
    assert sorted(parts["metric_feature"]["properties"]) == sorted(views.METRIC_KEYS)
    assert sorted(parts["dimension_feature"]["properties"]) == sorted(views.DIMENSION_KEYS)
    assert sorted(parts["feature_service"]["properties"]) == sorted(services.SERVICE_KEYS)
    assert sorted(parts["on_demand_view"]["properties"]) == sorted(on_demand.ON_DEMAND_KEYS)
    assert sorted(parts["on_demand_feature"]["properties"]) == sorted(on_demand.EXPRESSION_KEYS)
    assert parts["input_type"]["enum"] == list(on_demand.INPUT_TYPES)
    assert parts["feature_view"]["properties"]["schedule"]["enum"] == list(SCHEDULES)
    assert parts["dtype"]["enum"] == list(DTYPES)
