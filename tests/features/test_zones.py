"""Times with a zone: no fact may count hours before it happened because a session stands in New York."""

import copy
import json
from textwrap import dedent

import pytest

import gemel
from gemel.compiler.names.graph import bind
from gemel.dbt.semantic.reading import read_manifest
from gemel.engines.connections.duckdb import Warehouse as DuckDB
from gemel.engines.connections.files import Profile
from gemel.engines.connections.postgres import Server, Warehouse
from gemel.engines.postgres import POSTGRES
from gemel.errors import Problems
from gemel.features.binding import bind_features
from gemel.features.columns import TypeSources, decide_types
from gemel.features.opened import open_features
from gemel.features.tables import Tables
from gemel.run import Runner
from gemel.spec.feature_views import parse_feature_views
from worlds.feature_shop import COLUMNS, MANIFEST
from worlds.postgres import own_name, own_schema

VIEW = """
    feature_views:
      - name: buying
        entity: customer
        schedule: hour
        KNOWN
        features: [{metric: orders, windows: [7 days]}]
"""
SETTLED = VIEW.replace("KNOWN", "known_at: sale__settled_at")
SOLD = VIEW.replace("        KNOWN\n", "")


def of_zoned(shop, column):
    shop.con.execute(f"ALTER TABLE sales ALTER {column} TYPE TIMESTAMPTZ")
    return shop


def codes(shop, text, **known):
    try:
        decide_types(Tables(shop.graph), shop.bound(text), TypeSources(shop.describe, **known))
    except Problems as problems:
        return [(error.code, error.message.split(",")[0], error.place.line) for error in problems.errors]
    return []


def test_facts_known_at_a_time_with_a_zone_are_refused(shop):
    assert codes(shop, SETTLED) == []
    errors = [("G526", "feature view 'buying' reads sales.settled_at", 3)]
    assert codes(of_zoned(shop, "settled_at"), SETTLED) == errors
    assert codes(shop, SOLD) == []  # which does not read it


def test_so_is_the_facts_own_time(shop):
    assert [code for code, *_ in codes(of_zoned(shop, "sold_at"), SOLD)] == ["G526"]


def test_of_two_tables_that_one_view_reads_the_one_with_the_zone_is_named(shop):
    """They are looked at together, and both have a column named `customer`."""
    both = SETTLED.replace("]}]", "]}, {dimension: customer__nick, as_of: current}]")
    assert codes(shop, both) == []
    errors = [("G526", "feature view 'buying' reads sales.settled_at", 3)]
    assert codes(of_zoned(shop, "settled_at"), both) == errors


def test_facts_that_dbt_would_put_into_the_next_day_are_refused(shop):
    """DuckDB rounds 23:59:59.999999999 before it truncates it."""
    runner = Runner(DuckDB(Profile("", "", path=":memory:", database="memory"), shop.con))
    shop.con.execute("ALTER TABLE sales ALTER sold_at TYPE TIMESTAMP_NS")
    assert codes(shop, SOLD, roundings=runner.roundings, is_utc=True) == []
    shop.sell("a", "2024-03-31 12:59:59.999999999")
    problem = "sales.sold_at has a time in the last half microsecond of its hour: DuckDB rounds its "
    [(code, message, line)] = codes(shop, SOLD, roundings=runner.roundings, is_utc=True)
    assert (code, message.startswith(problem), line) == ("G409", True, 3)


def test_a_session_in_utc_may_read_them(shop):
    assert codes(of_zoned(shop, "settled_at"), SETTLED, is_utc=True) == []


@pytest.mark.parametrize(
    ("expr", "refused"),
    [
        ("settled_at AT TIME ZONE 'UTC'", False),
        ("CAST(settled_at AS TIMESTAMP)", True),
        ("to_timestamp(epoch(settled_at AT TIME ZONE 'UTC'))", True),
    ],
)
def test_what_the_definition_converts_to_utc_has_no_zone(shop, expr, refused):
    of_zoned(shop, "settled_at")
    manifest = copy.deepcopy(MANIFEST)
    next(d for d in manifest["semantic_models"][0]["dimensions"] if d["name"] == "settled_at")["expr"] = expr
    shop.graph = bind(read_manifest(manifest))
    assert [code for code, *_ in codes(shop, SETTLED)] == ["G526"] * refused


@pytest.mark.parametrize(
    ("settings", "own", "refused"),
    [
        ("", "", True),
        (", settings: {timezone: 'Etc/UTC'}", "", False),
        (", settings: {timezone: 'Etc/UTC'}", "vars: {gemel: {timezone: Europe/Berlin}}", True),
    ],
)
def test_the_profile_tells_the_zone_of_dbts_sessions(shop, tmp_path, monkeypatch, settings, own, refused):
    (tmp_path / "dbt_project.yml").write_text(f"name: shop\nprofile: shop\nmodel-paths: [models]\n{own}\n")
    target = f"{{type: duckdb, path: shop.duckdb{settings}}}"
    (tmp_path / "profiles.yml").write_text(f"shop: {{target: dev, outputs: {{dev: {target}}}}}")
    (tmp_path / "feature_views").mkdir()
    (tmp_path / "feature_views/views.yml").write_text(dedent(SETTLED))
    (tmp_path / "target").mkdir()
    (tmp_path / "target/semantic_manifest.json").write_text(json.dumps(MANIFEST).replace('"memory"', '"shop"'))
    of_zoned(shop, "settled_at")
    shop.con.execute(f"ATTACH '{tmp_path}/shop.duckdb' AS file")
    shop.con.execute("COPY FROM DATABASE memory TO file")
    shop.con.execute("DETACH file")
    project = gemel.load(tmp_path)
    features = open_features(project.session)
    if not refused:
        assert features.types()["buying"]["orders_7d"] == "int64"
        return
    with pytest.raises(Problems) as caught:
        features.types()
    assert [(error.code, "TimeZone: UTC" in error.hint) for error in caught.value.errors] == [("G526", True)]


@pytest.mark.parametrize("expr", ["settled_at", "settled_at AT TIME ZONE 'UTC'", "to_timestamp(sale_id)"])
def test_so_it_is_in_postgresql(needs_postgres, expr):
    schema = own_name("zones")
    manifest = json.loads(json.dumps(MANIFEST).replace('"main"', f'"{schema}"'))
    next(d for d in manifest["semantic_models"][0]["dimensions"] if d["name"] == "settled_at")["expr"] = expr
    graph = bind(read_manifest(manifest), "postgres")
    bound = bind_features(graph, parse_feature_views([("feature_views/shop.yml", dedent(SETTLED))]))
    with own_schema(needs_postgres, schema) as own:
        columns = COLUMNS.replace("settled_at timestamp", "settled_at timestamptz")
        own.connection.execute(f"CREATE TABLE {schema}.sales ({columns})")
        with Warehouse(Server(own.connection.info.dbname, own.options)) as server:
            known = TypeSources(Runner(server).describe, server.catalogs(), engine=POSTGRES)
            if "AT TIME ZONE" in expr:
                assert decide_types(Tables(graph), bound, known)["buying"]["orders_7d"] == "int64"
                return
            with pytest.raises(Problems) as caught:
                decide_types(Tables(graph), bound, known)
    assert [error.code for error in caught.value.errors] == ["G526"]
    assert "ALTER ROLE" in caught.value.errors[0].hint
