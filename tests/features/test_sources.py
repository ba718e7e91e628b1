"""Features in warehouses other than DuckDB: what is written for dbt and Feast, and that Feast takes it."""

import json
from importlib import import_module

import pytest
import sqlglot
import yaml

from gemel.dbt.catalog import read_types
from gemel.dbt.profile import Target
from gemel.engines.lookup import all_engines, engine_for_adapter
from gemel.engines.stores import TargetSettings
from gemel.errors import BridgeError, Problems
from gemel.features import generation
from gemel.features.catalog import describer
from gemel.features.columns import TypeSources, decide_types
from gemel.features.repository import store_yaml
from gemel.features.sources import check_store, find_offline_store, table
from gemel.features.tables import Tables
from gemel.spec.manifest import Relation
from gemel.spec.project import DbtProject, Node

pytestmark = pytest.mark.filterwarnings("ignore")  # Feast's own, when it is imported

OTHERS = [each.name for each in all_engines() if each.feast and each.name != "duckdb"]

VIEWS = """
    feature_views:
      - name: buying
        entity: customer
        schedule: day
        known_at: sale__settled_at
        delay: 2 hours
        owner: ada@example.com
        tags: {team: ops}
        features:
          - {metric: orders, windows: [1 day, 7 days, all time]}
          - {metric: return_rate, windows: [28 days]}
          - {metric: revenue_this_month, dtype: float64}
          - {metric: regions, windows: [7 days]}
          - {dimension: customer__nick, as_of: current}
    feature_services:
      - {name: churn_v1, features: [buying], owner: ada@example.com}
"""

RELATIONS = {
    "postgres": '"lake"."marts"."buying"',
    "snowflake": "lake.marts.buying",
    "bigquery": "`lake`.`marts`.`buying`",
    "redshift": '"lake"."marts"."buying"',
    "databricks": "`lake`.`marts`.`buying`",
    "spark": "marts.buying",
    "athena": '"awsdatacatalog"."marts"."buying"',
    "trino": '"lake"."marts"."buying"',
    "clickhouse": "`marts`.`buying`",
}
"""As each adapter writes a table's name in dbt's manifest."""


def dbt_of(adapter, relation):
    table = Node("model.shop.buying", "model", "buying", "buying", Relation("buying"), relation, package="shop")
    return DbtProject("shop", adapter, nodes={table.id: table})


def files(shop, tmp_path, adapter, text=VIEWS, relation=None):
    """What is generated for a warehouse of a kind, the types being those that were known last time."""
    bound = shop.bound(text)
    types = decide_types(Tables(shop.graph), bound, TypeSources(shop.describe))
    (tmp_path / "dbt_project.yml").write_text("model-paths: [models]\n")
    known = TypeSources(recorded=types, engine=engine_for_adapter(adapter))
    dbt = dbt_of(adapter, relation or RELATIONS[adapter])
    return generation.generate(shop.graph, bound, known, root=tmp_path, project="shop", dbt=dbt)


@pytest.mark.parametrize(
    ("adapter", "where"),
    [
        ("postgres", {"_postgres_options._table": "lake.marts.buying"}),
        ("snowflake", {"database": "LAKE", "schema": "MARTS", "table": "BUYING"}),
        ("bigquery", {"table": "lake.marts.buying"}),
        ("redshift", {"database": "lake", "schema": "marts", "table": "buying"}),
        ("databricks", {"table": "lake.marts.buying"}),
        ("spark", {"table": "marts.buying"}),
        ("athena", {"data_source": "awsdatacatalog", "database": "marts", "table": "buying"}),
        ("trino", {"table": "lake.marts.buying"}),
        ("clickhouse", {"_clickhouse_options._table": "marts.buying"}),
    ],
)
def test_the_source_of_every_warehouse_is_taken_by_feast(shop, tmp_path, adapter, where):
    made: dict[str, object] = {}
    exec(files(shop, tmp_path, adapter)["feature_views/definitions.py"], made)
    source, view, service = made["buying_source"], made["buying_view"], made["churn_v1_service"]
    assert type(source).__name__ == find_offline_store(engine_for_adapter(adapter)).source
    for path, value in where.items():
        found = source
        for name in path.split("."):
            found = getattr(found, name)
        assert found == value
    assert (source.timestamp_field, source.created_timestamp_column) == ("event_timestamp", "created_timestamp")
    assert (source.owner, source.tags["dbt"]) == ("ada@example.com", "model.shop.buying")
    assert view.batch_source == source and view.tags["team"] == "ops"
    assert [field.name for field in service.feature_view_projections[0].features] == [f.name for f in view.features]
    kept = type(source).from_proto(source.to_proto())  # as a registry keeps it
    assert (kept.name, kept.timestamp_field, kept.tags) == (source.name, source.timestamp_field, source.tags)


@pytest.mark.parametrize("adapter", OTHERS)
def test_the_offline_store_of_every_warehouse_is_taken_by_feast_where_its_driver_is_installed(adapter):
    content = yaml.safe_load(store_yaml("shop", engine_for_adapter(adapter), TargetSettings(None, adapter)))
    from feast.repo_config import get_offline_config_from_type

    kind = content["offline_store"].pop("type")
    try:
        config = get_offline_config_from_type(kind)
    except Exception as missing:
        assert "psycopg" not in str(missing)
        pytest.skip(f"Feast's {kind} store needs more: {missing}")
    if adapter == "clickhouse":
        content["offline_store"]["type"] = kind
    made = config(**content["offline_store"])
    assert made.type == kind


@pytest.mark.parametrize("adapter", OTHERS)
def test_every_warehouse_gets_a_model_in_its_own_words_and_no_copy(shop, tmp_path, adapter):
    text = files(shop, tmp_path, adapter)["models/features/buying.sql"]
    assert "COPY" not in text
    body = text.partition(") }}\n\n")[2].replace("{{ ref('sales') }}", "sales")
    body = body.replace("{{ ref('customers') }}", "people")
    [parsed] = sqlglot.parse(body, dialect=engine_for_adapter(adapter).dialect)
    assert parsed.named_selects[:3] == ["customer", "event_timestamp", "orders_1d"]
    assert ("RANGE BETWEEN INTERVAL" in body) == (adapter not in ("redshift", "bigquery", "clickhouse"))


def test_snowflake_keeps_the_names_that_feast_asks_for(shop, tmp_path):
    made = files(shop, tmp_path, "snowflake")
    assert 'AS "orders_7d"' in made["models/features/buying.sql"]
    [model] = yaml.safe_load(made["models/features/_feature_views.yml"])["models"]
    assert all(column.get("quote") for column in model["columns"] if column["name"] == "customer")


def test_bigquery_compares_times_that_have_a_zone(shop, tmp_path):
    text = files(shop, tmp_path, "bigquery")["models/features/buying.sql"]
    assert "CAST(features.event_timestamp + INTERVAL 2 HOUR AS TIMESTAMP) AS event_timestamp" in text


@pytest.mark.parametrize(
    ("adapter", "text", "message"),
    [
        ("snowflake", VIEWS.replace("delay: 2 hours", "lookback: 2 days"), "G581 feature view 'buying' has a lookback"),
        (
            "redshift",
            VIEWS.replace("delay: 2 hours", "ttl: 2 days"),
            "G327 a feature at every step, which `ttl` requires",
        ),
        (
            "trino",
            VIEWS.replace("metric: regions", "metric: median_amount"),
            "G327 a percentile cannot be expressed in trino",
        ),
        (
            "postgres",
            VIEWS.replace("dtype: float64", f"dtype: float64, name: {'long' * 16}"),
            "a name in postgres has at most 63 bytes",
        ),
        (
            "postgres",
            VIEWS.replace("delay: 2 hours", "lookback: 2 days").replace("buying", "b" * 60),
            f"'{'b' * 60}__fingerprint' is too long",
        ),
    ],
)
def test_what_a_warehouse_cannot_say_or_keep_is_refused_at_its_view(shop, tmp_path, adapter, text, message):
    with pytest.raises(Problems) as caught:
        files(shop, tmp_path, adapter, text)
    [error] = map(str, caught.value.errors)
    assert message in error and error.startswith("feature_views/shop.yml:3:")


def test_a_warehouse_that_feast_has_no_store_for_is_refused():
    with pytest.raises(BridgeError, match="G580 Feast has no offline store for dbt's 'vertica' warehouses"):
        find_offline_store(engine_for_adapter("vertica"))


def test_while_dbt_has_not_seen_a_table_the_definitions_stay_as_they_are(shop, tmp_path):
    made = files(
        shop, tmp_path, "postgres", VIEWS.replace("name: buying", "name: shopping").replace("[buying]", "[shopping]")
    )
    assert made["feature_views/definitions.py"] is None
    (tmp_path / "feature_views").mkdir()
    old = tmp_path / "feature_views/definitions.py"
    old.write_text("# Generated by gemel from feature_views/: ...\n")
    generation.write(tmp_path, made, store=lambda: "project: shop\n")
    assert old.exists() and (tmp_path / "models/features/shopping.sql").exists()


def test_types_are_written_in_the_words_of_the_warehouse_and_read_again(shop, tmp_path):
    for adapter in OTHERS:
        made = files(shop, tmp_path, adapter)
        generation.write(tmp_path, made, store=lambda: "project: shop\n")
        types = generation.recorded_types(tmp_path, engine_for_adapter(adapter))["buying"]
        assert types["customer"] == "string" and types["orders_7d"] == "int64" and types["return_rate_28d"] == "float64"


def test_a_quoted_name_stays_and_a_bare_one_is_as_the_warehouse_keeps_it():
    assert table('LAKE."marts".Buying', engine_for_adapter("snowflake")).sql == '"LAKE".marts."BUYING"'
    assert table('"lake"."my marts"."buying"', engine_for_adapter("postgres")).sql == 'lake."my marts".buying'


def test_the_store_takes_settings_from_dbts_profile_and_no_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_PASSWORD", "hush")
    monkeypatch.setenv("SHOP_HOST", "db.example.com")
    written = {
        "type": "postgres",
        "host": "{{ env_var('SHOP_HOST') }}",
        "dbname": "shop",
        "schema": "marts",
        "user": "ada",
        "password": "{{ env_var('SHOP_PASSWORD') }}",
    }
    target = Target("shop", "prod", "postgres", written, tmp_path / "profiles.yml")
    text = store_yaml("shop", engine_for_adapter("postgres"), TargetSettings(target, "postgres"))
    assert "hush" not in text
    store = yaml.safe_load(text)["offline_store"]
    assert store == {
        "type": "postgres",
        "host": "db.example.com",
        "port": 5432,
        "database": "shop",
        "db_schema": "marts",
        "user": "ada",
        "password": "${SHOP_PASSWORD}",
        "sslmode": "prefer",
    }


def test_a_literal_password_is_not_copied_and_what_is_not_said_is_a_variable(tmp_path):
    written = {"type": "snowflake", "account": "ab12345", "password": "hush", "database": "LAKE", "user": "ada"}
    target = Target("shop", "prod", "snowflake", written, tmp_path / "profiles.yml")
    store = yaml.safe_load(store_yaml("shop", engine_for_adapter("snowflake"), TargetSettings(target, "snowflake")))[
        "offline_store"
    ]
    assert (store["password"], store["warehouse"]) == ("${SNOWFLAKE_PASSWORD}", "${SNOWFLAKE_WAREHOUSE}")


@pytest.mark.parametrize(
    ("host", "store"),
    [
        ("main.abc123.eu-west-1.redshift.amazonaws.com", {"cluster_id": "main", "user": "ada", "region": "eu-west-1"}),
        ("wide.123456.eu-west-1.redshift-serverless.amazonaws.com", {"workgroup": "wide", "region": "eu-west-1"}),
    ],
)
def test_redshifts_cluster_is_in_the_name_of_its_host(tmp_path, host, store):
    target = Target("shop", "prod", "redshift", {"host": host, "user": "ada", "dbname": "shop"}, tmp_path)
    made = find_offline_store(engine_for_adapter("redshift")).settings(TargetSettings(target, "redshift"))
    assert store.items() <= made.items() and "${" in made["iam_role"]


def test_a_store_of_another_kind_of_warehouse_is_refused(tmp_path):
    (tmp_path / "feature_store.yaml").write_text(
        store_yaml("shop", engine_for_adapter("duckdb"), TargetSettings(None, "duckdb"))
    )
    check_store(tmp_path, engine_for_adapter("duckdb"))
    with pytest.raises(
        BridgeError, match=r"G583 the offline store is gemel\.feast\.DuckDBOfflineStore, but dbt builds"
    ):
        check_store(tmp_path, engine_for_adapter("postgres"))
    (tmp_path / "feature_store.yaml").write_text("project: shop\noffline_store: {type: my.own.OfflineStore}\n")
    check_store(tmp_path, engine_for_adapter("postgres"))


def test_every_source_is_where_it_is_imported_from():
    for store in filter(None, (engine.feast for engine in all_engines())):
        assert getattr(import_module(store.module), store.source)


def test_types_of_a_warehouse_that_cannot_be_asked_are_those_that_dbt_has_written_down(shop, tmp_path):
    sales = {
        "customer": "TEXT",
        "amount": "NUMBER",
        "settled_at": "TIMESTAMP_NTZ",
        "returned": "BOOLEAN",
        "region": "TEXT",
    }
    people = {"customer": "TEXT", "nick": "TEXT", "born": "DATE"}
    catalog = {
        f"model.shop.{name}": {
            "metadata": {"schema": "main", "name": name},
            "columns": {each.upper(): {"name": each.upper(), "type": kind} for each, kind in columns.items()},
        }
        for name, columns in (("sales", sales), ("customers", people))
    }
    (tmp_path / "catalog.json").write_text(json.dumps({"nodes": catalog, "sources": {}}))
    id = "model.shop.customers"
    customers = Node(id, "model", "customers", "customers", Relation("customers", "main"), columns={"born": None})
    dbt = DbtProject("shop", nodes={id: customers})
    text = VIEWS.replace(", dtype: float64", "").replace("{dimension: customer__nick", "{dimension: customer__born")
    known = TypeSources(
        describer(read_types(tmp_path, dbt), engine_for_adapter("snowflake")),
        frozenset(),
        {},
        engine_for_adapter("snowflake"),
        is_live=False,
    )
    types = decide_types(Tables(shop.graph), shop.bound(text), known)["buying"]
    assert (types["customer"], types["orders_7d"], types["born"]) == ("string", "int64", "timestamp")
    assert types["revenue_this_month"] == "float64"  # a NUMBER may have fractions

    (tmp_path / "catalog.json").unlink()
    with pytest.raises(Problems, match="G523 the type of entity 'customer' in feature view") as caught:
        decide_types(
            Tables(shop.graph),
            shop.bound(text),
            known := TypeSources(describer(read_types(tmp_path, dbt), engine_for_adapter("snowflake")), is_live=False),
        )
    assert "dbt docs generate" in str(caught.value) and known.describe


def test_a_push_source_stands_over_the_warehouses_own(shop, tmp_path):
    made: dict[str, object] = {}
    text = VIEWS.replace("delay: 2 hours", "push: todays_rows")
    exec(files(shop, tmp_path, "postgres", text)["feature_views/definitions.py"], made)
    assert made["buying_view"].stream_source.name == "todays_rows"
    assert type(made["buying_view"].batch_source).__name__ == "PostgreSQLSource"
