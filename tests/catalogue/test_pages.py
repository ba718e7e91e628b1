"""The content of pages, without a browser."""

import json

import gemel
from gemel.catalogue.content import Numbers
from gemel.catalogue.pages import gather

LINES = {
    "semantic_models": [
        {
            "name": "lines",
            "defaults": {"agg_time_dimension": "at"},
            "node_relation": {"alias": "lines", "schema_name": "main"},
            "entities": [
                {"name": "line", "type": "primary", "expr": "id"},
                {"name": "origin", "type": "foreign"},
                {"name": "target", "type": "foreign"},
            ],
            "dimensions": [{"name": "at", "type": "time", "type_params": {"time_granularity": "day"}}],
            "measures": [{"name": "amount", "agg": "sum"}],
        },
        {
            "name": "towns",
            "node_relation": {"alias": "towns", "schema_name": "main"},
            "entities": [
                {"name": "origin", "type": "primary", "expr": "id"},
                {"name": "target", "type": "unique", "expr": "id"},
            ],
            "dimensions": [{"name": "country", "type": "categorical"}],
        },
    ],
    "metrics": [{"name": "amount", "type": "simple", "type_params": {"measure": {"name": "amount"}}}],
}


def test_a_metric_can_be_grouped_by_each_name_of_a_dimension_in_queries(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    manifest = tmp_path / "semantic_manifest.json"
    manifest.write_text(json.dumps(LINES))
    project = gemel.load(manifest, database=tmp_path / "none.duckdb")
    page = gather(project, Numbers({}, {})).pages["metric:amount"]
    assert dict(page.groups) == {
        "line__at": "dimension:line__at",
        "origin__country": "dimension:origin__country",
        "target__country": "dimension:origin__country",
    }
    listed = {each.name for each in project.dimensions(["amount"])}
    assert listed == {name for name, _ in page.groups} | {"metric_time"}
