"""Open Semantic Interchange: valid in both versions, back as it was, and of other tools' files what dbt can mean."""

import copy
import json
import random
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from bi.osi_schema import schema
from gemel.bi.exports.exported import Source
from gemel.bi.exports.formats import export
from gemel.bi.imports.osi import load_osi, read_osi
from gemel.compiler.compiled import compile_query
from gemel.compiler.names.graph import bind
from gemel.compiler.question.parsing import make_query
from gemel.dbt.semantic.definitions import parse_definitions
from gemel.dbt.semantic.reading import read_manifest
from gemel.errors import FormatError, Problems
from gemel.spec.project import DbtProject
from worlds import marketplace
from worlds.projects import copy_example, run_dbt

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "tests/compiler/example_manifest.json"
MANIFESTS = sorted((ROOT / "tests/worlds/manifests").glob("*.semantic.json"))


def exported(raw, format="osi", dialect="duckdb"):
    source = Source(
        bind(read_manifest(raw), dialect),
        "shop",
        dialect,
        lambda: parse_definitions(raw, DbtProject()),
        lambda sql: {},
        str,
    )
    return export(format, source, ())


def documents(raw, format="osi", dialect="duckdb"):
    return list(yaml.safe_load_all(exported(raw, format, dialect).content))


def document(raw, dialect="duckdb"):
    [result] = documents(raw, "osi", dialect)
    return result


@pytest.mark.parametrize(("format", "version"), [("osi", "0.1.1"), ("osi-0.2", "0.2.0.dev0")])
@pytest.mark.parametrize("dialect", ["duckdb", "snowflake", "bigquery"])
@pytest.mark.parametrize("file", [EXAMPLE, *MANIFESTS], ids=lambda file: file.stem)
def test_an_export_is_valid_in_its_version(file, format, version, dialect):
    exports = documents(json.loads(file.read_text()), format, dialect)
    for each in exports:
        jsonschema.validate(each, schema(version))
    for model in exports[0]["semantic_model"] if version == "0.1.1" else exports:
        datasets = [each["name"] for each in model["datasets"]]
        assert len(datasets) == len(set(datasets))
        for each in model.get("relationships", ()):
            assert {each["from"], each["to"]} <= set(datasets)
        for dataset in model["datasets"]:
            names = [each["name"] for each in dataset["fields"]]
            assert len(names) == len(set(names))


def test_a_project_in_snowflake_has_its_metrics_in_snowflakes_sql_too():
    exported_document = document(json.loads(EXAMPLE.read_text()), dialect="snowflake")
    [rate] = [
        m for model in exported_document["semantic_model"] for m in model["metrics"] if m["name"] == "cancellation_rate"
    ]
    assert [each["dialect"] for each in rate["expression"]["dialects"]] == ["ANSI_SQL", "SNOWFLAKE"]


@pytest.mark.parametrize(
    "raw",
    [
        json.loads(EXAMPLE.read_text()),
        *(json.loads(f.read_text()) for f in MANIFESTS),
        marketplace.manifest(1),
        marketplace.manifest(7),
    ],
    ids=["example", *(f.stem for f in MANIFESTS), "market 1", "market 7"],
)
@pytest.mark.parametrize("format", ["osi", "osi-0.2"])
def test_an_export_comes_back_with_the_same_meaning(raw, format, tmp_path):
    file = tmp_path / "shop.yaml"
    file.write_text(exported(raw, format).content)
    imported = load_osi(file)
    imported.refuse()
    assert imported.notes == []
    back = yaml.safe_load(imported.text)
    relations = {each["name"]: each["node_relation"] for each in raw["semantic_models"]}
    for model in back["semantic_models"]:
        assert re.fullmatch(r"ref\('\w+'\)", model["model"])
        model["node_relation"] = relations[model["name"]]
    for query in back.get("saved_queries", ()):
        for each in query.get("exports", ()):
            each["config"]["schema_name"] = each["config"].pop("schema", None)
    back["project_configuration"] = raw["project_configuration"]
    assert in_order(read_manifest(back)) == in_order(read_manifest(raw))


def in_order(manifest):
    """Measure inputs of the newer YAML are metrics; of the legacy one, private metrics that mean the same."""
    metrics = sorted((each for each in manifest.metrics if not each.private), key=lambda each: each.name)
    return sorted(manifest.models, key=lambda each: each.name), metrics, sorted(manifest.saved_queries, key=str)


TEMPLATES = ("{{ env_var('HOME') }} {% x", "{# kept #}", "{% raw %}{{ 'a' }}{% endraw %} {{ env_var(\"HOME\") }} \\ é")


def test_dbt_makes_of_an_imported_file_what_it_made_of_the_original(tmp_path):
    raw = json.loads(EXAMPLE.read_text())
    for place, text in enumerate(TEMPLATES):
        raw["semantic_models"][place]["description"] = text
        raw["metrics"][place]["description"] = text
    raw["semantic_models"][0]["dimensions"][0]["expr"] = "case when name = '{{ name }}' then '{% x' else '{#' end"
    copy_example(tmp_path, ("dbt_project.yml", "profiles.yml", "models"))
    (tmp_path / "semantic").mkdir()
    (tmp_path / "metrics").mkdir()
    (tmp_path / "osi.yaml").write_text(exported(raw).content)
    (tmp_path / "semantic/imported.yml").write_text(load_osi(tmp_path / "osi.yaml").text)
    run_dbt(tmp_path, "parse", "--no-partial-parse")
    parsed = json.loads((tmp_path / "target/semantic_manifest.json").read_text())
    for kind in ("semantic_models", "metrics", "saved_queries"):
        assert by_name(parsed[kind]) == by_name(raw[kind])


def by_name(items):
    return {each["name"]: {key: value for key, value in each.items() if key != "metadata"} for each in items}


FOREIGN = """
version: 0.1.1
semantic_model:
  - name: sales
    datasets:
      - name: orders
        source: prod.sales.fct_orders
        primary_key: [order_id]
        fields:
          - {name: order_id, expression: {dialects: [{dialect: ANSI_SQL, expression: order_id}]}}
          - {name: buyer, expression: {dialects: [{dialect: ANSI_SQL, expression: customer_id}]}}
          - name: ordered_on
            expression: {dialects: [{dialect: ANSI_SQL, expression: CAST(ordered_at AS DATE)}]}
            dimension: {is_time: true}
          - name: is_big
            description: Over a hundred.
            expression: {dialects: [{dialect: ANSI_SQL, expression: amount > 100}]}
            dimension: {is_time: false}
          - {name: net, expression: {dialects: [{dialect: ANSI_SQL, expression: amount - tax}]}}
      - name: customers
        source: prod.sales.dim_customers
        primary_key: [id]
        fields:
          - {name: id, expression: {dialects: [{dialect: ANSI_SQL, expression: id}]}}
          - name: Region
            expression: {dialects: [{dialect: ANSI_SQL, expression: region_name}]}
            dimension: {is_time: false}
      - {name: odd, source: select * from x}
    relationships:
      - {name: orders_to_customers, from: orders, to: customers, from_columns: [customer_id], to_columns: [id]}
"""
METRICS = {
    "Net Sales": "SUM(orders.net)",
    "big_share": "COUNT(CASE WHEN orders.is_big THEN 1 END) * 1.0 / NULLIF(COUNT(DISTINCT orders.order_id), 0)",
    "p90": "PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY orders.net)",
    "two_tables": "SUM(CASE WHEN customers.Region = 'n' THEN orders.net END)",
    "ranked": "SUM(orders.net) OVER (ORDER BY orders.buyer)",
    "people": "COUNT(customers.id)",
    "spread": "STDDEV(orders.net)",
}


def foreign():
    """As another tool would write it."""
    result = yaml.safe_load(FOREIGN)
    metrics = [
        {"name": name, "expression": {"dialects": [{"dialect": "ANSI_SQL", "expression": text}]}}
        for name, text in METRICS.items()
    ]
    metrics[0]["description"] = "Without tax."
    tableau = {"dialects": [{"dialect": "TABLEAU", "expression": "{FIXED : SUM([x])}"}]}
    result["semantic_model"][0]["metrics"] = [*metrics, {"name": "tableau", "expression": tableau}]
    jsonschema.validate(result, schema("0.1.1"))
    return result


def test_a_file_of_another_tool_is_imported_as_far_as_dbt_can_express_it():
    imported = read_osi([foreign()], file="sales.yaml")
    models = {each["name"]: each for each in imported.content["semantic_models"]}
    assert models.keys() == {"orders", "customers"}
    orders, customers = models["orders"], models["customers"]
    assert (orders["model"], customers["model"]) == ("ref('fct_orders')", "ref('dim_customers')")
    assert orders["entities"] == [
        {"name": "orders", "type": "primary", "expr": "order_id"},
        {"name": "customers", "type": "foreign", "expr": "customer_id"},
    ]
    assert customers["entities"] == [{"name": "customers", "type": "primary", "expr": "id"}]
    assert customers["dimensions"] == [{"name": "region", "type": "categorical", "expr": "region_name"}]
    assert {each["name"]: (each["agg"], each["expr"]) for each in orders["measures"]} == {
        "net_sales": ("sum", "amount - tax"),
        "big_share_part_1": ("count", "CASE WHEN amount > 100 THEN 1 END"),
        "big_share_part_2": ("count_distinct", "order_id"),
        "p90": ("percentile", "amount - tax"),
    }
    metrics = {each["name"]: each for each in imported.content["metrics"]}
    assert metrics["net_sales"] == {
        "name": "net_sales",
        "type": "simple",
        "description": "Without tax.",
        "label": "Net Sales",
        "type_params": {"measure": "net_sales"},
    }
    assert metrics["big_share"]["type_params"] == {
        "expr": "big_share_part_1 * 1.0 / NULLIF(big_share_part_2, 0)",
        "metrics": [{"name": "big_share_part_1"}, {"name": "big_share_part_2"}],
    }
    assert dict(imported.refused) == {
        "odd": "its source is a query, but a dbt semantic model needs a dbt model",
        "two_tables": "one aggregate reads several datasets: customers, orders",
        "ranked": "its expression reads rows outside of its group",
        "people": "dataset customers has no time dimension, which a dbt measure needs",
        "tableau": "its expression has no SQL dialect that gemel reads (TABLEAU)",
        "spread": "dbt has no aggregate for STDDEV(orders.net)",
    }
    assert imported.notes == ["orders: time is ordered_on, by day"]
    with pytest.raises(Problems, match="G724 odd: its source is a query"):
        imported.refuse()


def test_an_imported_file_of_another_tool_can_be_queried():
    imported = read_osi([foreign()], file="sales.yaml")
    for model in imported.content["semantic_models"]:
        model["node_relation"] = {"alias": re.findall(r"'(\w+)'", model["model"])[0]}
    graph = bind(read_manifest({**imported.content, "project_configuration": {}}))
    sql = compile_query(graph, make_query(["net_sales", "big_share", "p90"], ["customers__region", "metric_time"])).sql
    assert "LEFT JOIN dim_customers AS customers" in sql


def test_two_roles_of_one_dataset_are_two_entities():
    raw = foreign()
    relations = raw["semantic_model"][0]["relationships"]
    relations.append({**relations[0], "name": "payer", "from_columns": ["payer_id"]})
    models = {each["name"]: each for each in read_osi([raw], file="x").content["semantic_models"]}
    assert [(e["name"], e["type"]) for e in models["customers"]["entities"]] == [
        ("orders_to_customers", "primary"),
        ("payer", "unique"),
    ]
    assert ("payer", "foreign") in [(e["name"], e["type"]) for e in models["orders"]["entities"]]


def test_a_changed_expression_does_not_import_its_old_dbt_definition():
    changed = document(json.loads(EXAMPLE.read_text()))
    [flights] = [m for model in changed["semantic_model"] for m in model["metrics"] if m["name"] == "flights"]
    flights["expression"]["dialects"][0]["expression"] = "COUNT(*) * 2"
    imported = read_osi([changed], file="x.yaml")
    assert ("flights", "its expression was changed, but the dbt definition beside it was not") in imported.refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "G723 cannot read"),
        ("a: 1", "G723 .* is not a document of the Open Semantic Interchange"),
        ("semantic_model: []", "G723 .* it has no semantic model"),
        ("semantic_model: [{name: a}]", "G723 .* defines nothing"),
        ("{name: a, datasets: []}", "G723 .* defines nothing"),
        ("[1, 2]", "G723"),
        ("semantic_model: [{name: a, datasets: [{name: b, fields: [{name: c}]}]}]", "G724"),
    ],
)
def test_a_file_that_is_not_osi_is_refused(text, message, tmp_path):
    (tmp_path / "osi.yaml").write_text(text)
    with pytest.raises((FormatError, Problems), match=message):
        load_osi(tmp_path / "osi.yaml").refuse()


@pytest.mark.parametrize("seeds", [range(0, 300, 2), range(1, 300, 2)], ids=["of gemel", "of another tool"])
def test_a_broken_file_is_refused_and_never_a_traceback(seeds):
    whole = foreign() if seeds[0] else document(json.loads(EXAMPLE.read_text()))
    for seed in seeds:
        broken = break_somewhere(whole, random.Random(seed))
        try:
            read_osi([broken], file="x.yaml").refuse()
        except (FormatError, Problems) as refused:
            assert "G72" in str(refused)


def break_somewhere(whole, chance):
    """A copy with up to three values replaced or removed."""
    broken = copy.deepcopy(whole)
    for _ in range(chance.randint(1, 3)):
        place = broken
        while place:
            key = chance.choice(list(place)) if isinstance(place, dict) else chance.randrange(len(place))
            if not isinstance(place[key], dict | list) or not place[key] or chance.random() < 0.15:
                break
            place = place[key]
        others = [None, 7, "", "x y", "a.b", [], {}, ["x"], {"name": 3}, "SELECT 1", "{}", True]
        if place and isinstance(place, dict) and chance.random() < 0.3:
            del place[key]
        elif place:
            place[key] = chance.choice(others)
    return broken
