"""dbt's manifest.json read: which node a table is, what `ref()` takes, what was declared, and a file written anew."""

import json
import os
from pathlib import Path

import pytest

from gemel.dbt.manifest import ManifestReader, parse_project, read_project
from gemel.dbt.semantic.reading import read_manifest
from gemel.errors import ProjectError
from gemel.spec.manifest import Export, Relation
from gemel.spec.project import DbtProject, Declaration, Exposure, Macro, call

FOLDER = Path(__file__).parents[1] / "worlds" / "manifests"


def node(id, **more):
    kind, package, name, *_ = id.split(".")
    places = {"database": "shop", "schema": "main", "alias": name}
    return {"resource_type": kind, "package_name": package, "name": name, **places, **more}


def source(id, **more):
    _, package, source_name, name = id.split(".")
    places = {"database": "shop", "schema": source_name, "identifier": name}
    return {
        "resource_type": "source",
        "package_name": package,
        "source_name": source_name,
        "name": name,
        **places,
        **more,
    }


def project(*nodes, sources=(), name="shop", **more):
    """Of nodes as `(id, what the manifest says besides)`."""
    return parse_project(
        {
            "metadata": {"project_name": name},
            "nodes": {id: node(id, **keys) for id, keys in nodes},
            "sources": {id: source(id, **keys) for id, keys in sources},
            **more,
        }
    )


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("dbt-1.11-legacy", "1.11.16"),
        ("dbt-1.12-legacy", "1.12.6"),
        ("dbt-1.12-newer", "1.12.6"),
        ("dbt-2-newer", "2.0.0-alpha.4"),
    ],
)
def test_every_table_of_a_manifest_has_its_node(name, version):
    dbt = read_project(FOLDER / f"{name}.nodes.json")
    manifest = read_manifest(json.loads((FOLDER / f"{name}.semantic.json").read_text()))
    refs = {model.name: dbt.ref(model.relation) for model in manifest.models}
    assert refs == {
        "orders": "ref('orders')",  # its alias is OrderFacts
        "customers": "ref('customers')",
        "listing_history": "ref('listings')",
        "visits": "ref('visits')",
        "balances": "ref('balances')",
        "regions": "ref('regions')",
    }
    spines = [dbt.node_at(spine.relation) for spine in manifest.time_spines]
    assert [node and node.id for node in spines] == ["model.nasty.time_spine_daily", "model.nasty.time_spine_hourly"]
    assert (dbt.name, dbt.dbt_version, dbt.is_parsed) == ("nasty", version, True)


def test_a_version_is_part_of_the_name():
    dbt = read_project(FOLDER / "dbt-1.12-newer.nodes.json")
    archive = dbt.node_at(Relation("archive_v1", "main", "memory"))
    assert (archive.name, archive.version, archive.unique_name) == ("archive", 1, "archive.v1")
    assert dbt.ref(Relation("archive_v2", "main", "memory")) == "ref('archive', v=2)"


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (call("ref", "a", package="shop"), "ref('shop', 'a')"),
        (call("ref", "a", version="2b"), "ref('a', v='2b')"),
        (call("ref", "o'clock\\"), r"ref('o\'clock\\')"),
        (call("metric", "revenue"), "metric('revenue')"),
    ],
)
def test_a_call_is_what_jinja_reads(written, text):
    assert written == text


def test_another_package_is_named_and_ones_own_is_not():
    dbt = project(("seed.mine.a", {}), ("seed.other.b", {"alias": "c"}), ("test.mine.t", {}), name="mine")
    assert [dbt.ref(Relation(name, "main", "shop")) for name in ("a", "c")] == ["ref('a')", "ref('other', 'b')"]
    assert list(dbt.nodes) == ["seed.mine.a", "seed.other.b"]  # a test is no table


def test_a_name_in_two_packages_is_qualified():
    dbt = project(("model.shop.orders", {}), ("model.till.orders", {"schema": "till"}), ("model.till.days", {}))
    assert [each.unique_name for each in dbt.nodes.values()] == ["orders", "days", "till.orders"]
    assert dbt.ref(Relation("orders", "till", "shop")) == "ref('till', 'orders')"


def test_a_model_of_ones_own_is_found_by_its_name():
    names = {"relation_name": '"shop"."main"."orders"'}
    dbt = project(("model.shop.orders", names), ("model.till.days", names), ("seed.shop.lines", names))
    assert dbt.relation_name("orders") == '"shop"."main"."orders"'
    assert [dbt.relation_name(name) for name in ("days", "lines", "gone")] == [None, None, None]


def test_case_matters_only_where_two_places_differ_in_nothing_else():
    dbt = project(("model.shop.orders", {"alias": "Orders"}), ("model.shop.plain", {}), ("model.shop.odd", {}))
    assert dbt.node_at(Relation("ORDERS", "MAIN", "SHOP")).name == "orders"
    both = project(("model.shop.orders", {"alias": "Orders"}), ("model.shop.others", {"alias": "orders"}))
    assert both.node_at(Relation("Orders", "main", "shop")).name == "orders"
    assert both.node_at(Relation("orders", "main", "shop")).name == "others"
    assert both.node_at(Relation("ORDERS", "main", "shop")) is None


def test_a_relation_without_a_database_is_found_where_one_place_fits():
    dbt = project(("model.shop.days", {}), ("model.shop.orders", {}), ("model.shop.hours", {"database": None}))
    assert dbt.node_at(Relation("days", "main")).name == "days"
    assert dbt.node_at(Relation("hours", "main", "lake")).name == "hours"
    assert dbt.node_at(Relation("orders", "main", "lake")) is None
    assert dbt.node_at(Relation("orders", "other", "shop")) is None
    twice = project(("model.shop.days", {}), ("model.shop.old_days", {"alias": "days", "database": "lake"}))
    assert twice.node_at(Relation("days", "main")) is None


def test_a_model_comes_before_the_source_that_is_declared_over_it():
    over = {"schema": "main", "identifier": "orders"}
    dbt = project(("model.shop.orders", {}), sources=[("source.shop.again.orders", over), ("source.shop.raw.a", {})])
    assert dbt.node_at(Relation("orders", "main", "shop")).kind == "model"
    raw = dbt.node_at(Relation("a", "raw", "shop"))
    assert (raw.kind, raw.name, raw.unique_name) == ("source", "raw.a", "raw.a")


def test_an_ephemeral_model_has_a_ref_and_no_table():
    dbt = project(("model.shop.step", {"config": {"materialized": "ephemeral"}, "alias": "step_1"}))
    step = dbt.node_at(Relation("step_1", "main", "shop"))
    assert (step.is_ephemeral, step.relation_name) == (True, None)
    assert dbt.ref(step.relation) == "ref('step')"


def test_a_disabled_model_is_not_a_node():
    disabled = {"model.shop.off": [node("model.shop.off")]}
    dbt = project(("model.shop.on", {}), disabled=disabled)
    assert list(dbt.nodes) == ["model.shop.on"]


def test_a_node_has_its_properties_from_yaml_and_dbt():
    dbt = project(
        (
            "model.shop.orders",
            {
                "columns": {"ID": {"name": "ID", "data_type": "bigint"}, "at": {"name": "at"}},
                "compiled_code": "select 1 as id",
                "raw_code": "select {{ one() }} as id",
                "depends_on": {"nodes": ["seed.shop.b", "seed.shop.a", "seed.shop.b"], "macros": ["macro.shop.one"]},
                "original_file_path": "models\\orders.sql",
                "config": {
                    "materialized": "table",
                    "meta": {"owner": "ada", "gemel": {"feature_view": "buying"}},
                    "group": "sales",
                },
                "meta": {"owner": "bob"},
                "access": "protected",
                "checksum": {"name": "sha256", "checksum": "c0ffee"},
            },
        ),
        ("seed.shop.a", {"group": "sales"}),
        groups={"group.shop.sales": {"name": "sales", "owner": {"name": "Ada", "email": ["ada@example.com"]}}},
        macros={
            "macro.shop.one": {"macro_sql": "1", "package_name": "shop", "depends_on": {"macros": ["macro.dbt.x"]}}
        },
    )
    orders, seed = dbt.nodes["model.shop.orders"], dbt.nodes["seed.shop.a"]
    assert orders.columns == {"id": "bigint", "at": None}
    assert (orders.compiled, orders.raw) == ("select 1 as id", "select {{ one() }} as id")
    assert (orders.parents, orders.macros) == (("seed.shop.a", "seed.shop.b"), ("macro.shop.one",))
    assert (orders.file, orders.materialized, orders.language) == ("models/orders.sql", "table", "sql")
    assert (orders.gemel, orders.owner) == ({"feature_view": "buying"}, "ada")
    assert (orders.group, orders.access, orders.checksum) == ("sales", "protected", "c0ffee")
    assert seed.owner == "Ada <ada@example.com>"
    assert dbt.children == {"seed.shop.a": ("model.shop.orders",), "seed.shop.b": ("model.shop.orders",)}
    assert dbt.macros == {"macro.shop.one": Macro("macro.shop.one", "shop", "1", ("macro.dbt.x",))}


def test_declarations_are_read_as_written():
    config = {"schema_name": "main", "export_as": "view", "alias": "by_day"}
    exports = [
        {"name": "a", "config": config, "unrendered_config": {"alias": "by_day"}},
        {"name": "b", "config": config},
    ]
    dbt = project(
        saved_queries={"q": {"name": "Daily", "original_file_path": "metrics/a.yml", "exports": exports}},
        semantic_models={"s": {"name": "orders", "config": {"meta": {"gemel": {"wide_view": True}}}}},
        metrics={"1": {"name": "Revenue", "package_name": "shop"}, "2": {"name": "cost", "package_name": "till"}},
        exposures={"e": {"name": "board", "type": "dashboard", "owner": {"email": "ada@example.com"}}},
    )
    plain, filled = Export("a", "view", None, "by_day"), Export("b", "view", "main", "by_day")
    assert dbt.saved_queries == (Declaration("daily", "metrics/a.yml", {}, exports=(plain, filled)),)
    assert dbt.semantic_models == (Declaration("orders", "", {"wide_view": True}),)
    assert dbt.metrics == {"revenue": "metric('Revenue')", "cost": "metric('till', 'cost')"}
    assert dbt.exposures == (Exposure("board", "dashboard", (), "ada@example.com"),)


@pytest.mark.parametrize("artifacts", [None, Path("no/such/folder")])
def test_without_a_manifest_a_table_goes_by_its_own_name(artifacts):
    dbt = ManifestReader().read(artifacts)
    assert dbt == DbtProject() and not dbt.is_parsed
    assert dbt.node_at(Relation("OrderFacts", "main", "memory")) is None
    assert dbt.ref(Relation("OrderFacts", "main", "memory")) == "ref('OrderFacts')"


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "\xff"])
def test_a_file_that_is_not_json_is_refused(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(ProjectError) as caught:
        ManifestReader().read(tmp_path)
    assert caught.value.code == "G602"


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"nodes": []},
        {"nodes": {"a": 1}, "metadata": None, "exposures": [], "groups": {"g": 1}},
        {"nodes": {"a": {"name": 1, "resource_type": "model"}}},
        {"nodes": {"a": {"name": "t", "resource_type": "unit_test"}}, "something": {"new": 1}},
    ],
)
def test_a_manifest_without_nodes_has_none(data):
    assert parse_project(data).nodes == {}


def test_unknown_keys_change_nothing():
    assert project(("model.shop.a", {"brand": "new"}), semantic_layers={"x": 1}) == project(("model.shop.a", {}))


def test_a_manifest_is_read_once_until_dbt_rewrites_it(tmp_path):
    file, reader = tmp_path / "manifest.json", ManifestReader()
    file.write_text(json.dumps({"metadata": {"invocation_id": "first"}}))
    first = reader.read(tmp_path)
    assert reader.read(tmp_path) is first
    file.write_text(json.dumps({"metadata": {"invocation_id": "again"}}))
    os.utime(file, ns=(1, 1))
    assert reader.read(tmp_path).invocation_id == "again"
    file.unlink()
    assert reader.read(tmp_path) == DbtProject()
