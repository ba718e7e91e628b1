"""Which node of dbt's a table is, for `ref()`."""

import json
from pathlib import Path

import pytest

from gemel.dbt.nodes import Node, Nodes
from gemel.dbt.semantic.reading import read_manifest
from gemel.errors import ProjectError
from gemel.spec.manifest import Relation

FOLDER = Path(__file__).parents[1] / "worlds" / "manifests"
ORDERS = Relation("OrderFacts", "main_mart", "memory")


@pytest.mark.parametrize("name", ["dbt-1.11-legacy", "dbt-1.12-legacy", "dbt-1.12-newer", "dbt-2-newer"])
def test_every_table_of_a_manifest_has_its_node(name):
    nodes = Nodes(FOLDER / f"{name}.nodes.json")
    manifest = read_manifest(json.loads((FOLDER / f"{name}.semantic.json").read_text()))
    refs = {model.name: nodes.ref(model.relation) for model in manifest.models}
    assert refs == {
        "orders": "ref('orders')",  # its alias is OrderFacts
        "customers": "ref('customers')",
        "listing_history": "ref('listings')",
        "visits": "ref('visits')",
        "balances": "ref('balances')",
        "regions": "ref('regions')",
    }
    assert [nodes.of(spine.relation) for spine in manifest.time_spines] == [
        Node("time_spine_daily"),
        Node("time_spine_hourly"),
    ]


def test_a_version_is_part_of_the_name():
    nodes = Nodes(FOLDER / "dbt-1.12-newer.nodes.json")
    assert nodes.of(Relation("archive_v1", "main", "memory")) == Node("archive", version=1)
    assert nodes.ref(Relation("archive_v2", "main", "memory")) == "ref('archive', v=2)"


@pytest.mark.parametrize(
    ("node", "ref"),
    [
        (Node("a", package="shop"), "ref('shop', 'a')"),
        (Node("a", version="2b"), "ref('a', v='2b')"),
        (Node("o'clock\\"), r"ref('o\'clock\\')"),
    ],
)
def test_a_ref_is_what_jinja_reads(node, ref):
    assert node.ref == ref


def write(folder, text):
    (folder / "manifest.json").write_text(text)
    return Nodes(folder / "manifest.json")


def test_another_package_is_named_and_ones_own_is_not(tmp_path):
    place = {"resource_type": "seed", "database": "d", "schema": "s"}
    mine = {**place, "name": "a", "alias": "a", "package_name": "mine"}
    other = {**place, "name": "b", "alias": "c", "package_name": "other"}
    test = {**place, "name": "t", "alias": "t", "package_name": "mine", "resource_type": "test"}
    data = {"metadata": {"project_name": "mine"}, "nodes": {"1": mine, "2": other, "3": test}}
    nodes = write(tmp_path, json.dumps(data))
    assert [nodes.ref(Relation(name, "s", "d")) for name in ("a", "c")] == ["ref('a')", "ref('other', 'b')"]
    assert nodes.names == {"a", "b"}


@pytest.mark.parametrize("nodes", [Nodes(None), Nodes(Path("no/such/manifest.json"))])
def test_without_a_manifest_a_table_goes_by_its_own_name(nodes):
    assert nodes.of(ORDERS) is None
    assert nodes.ref(ORDERS) == "ref('OrderFacts')"


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "\xff"])
def test_a_manifest_that_is_none_is_said_to_be_none(tmp_path, text):
    with pytest.raises(ProjectError) as caught:
        write(tmp_path, text).of(ORDERS)
    assert caught.value.code == "G602"


@pytest.mark.parametrize("text", ["[]", "{}", '{"nodes": []}', '{"nodes": {"a": 1}}', '{"nodes": {"a": {"name": 1}}}'])
def test_a_manifest_without_nodes_has_none(tmp_path, text):
    assert write(tmp_path, text).of(ORDERS) is None
