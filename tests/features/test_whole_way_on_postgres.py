"""The whole way on PostgreSQL, served by SQLite, with dbt and Feast as they come: one small project, built once."""

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import pytest

import gemel as library
from gemel.cli import main
from worlds import sales_project
from worlds.postgres import own_name, own_schema
from worlds.projects import run_captured, write_project
from worlds.sales_project import profiles

# What foreign libraries warn of, now and when their objects are collected, is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")

SCHEMA = own_name("whole_way")
FINGERPRINT = f"{SCHEMA}.visiting__fingerprint"

FILES = sales_project.FILES | {
    "models/days.sql": """
        select cast(day as date) as day
        from generate_series(date '2024-01-01', date '2024-01-31', interval '1 day') as days (day)
    """,
    "models/models.yml": """
        semantic_models:
          - name: sales
            model: ref('sales')
            defaults: {agg_time_dimension: sold_at}
            entities:
              - {name: sale, type: primary, expr: sale_id}
              - {name: customer, type: foreign}
              - {name: shop, type: foreign}
            dimensions:
              - {name: sold_at, type: time, type_params: {time_granularity: second}}
              - {name: is_dear, type: categorical, expr: "amount::numeric > 2.0 and to_char(sold_at, 'YYYY') = '2024'"}
            measures:
              - {name: orders, agg: count, expr: sale_id}
              - {name: revenue, agg: sum, expr: amount}
              - {name: returns, agg: sum_boolean, expr: returned}
              - {name: median_amount, agg: median, expr: amount}
              - {name: shops, agg: count_distinct, expr: shop}
          - name: customers
            model: ref('customers')
            entities: [{name: customer, type: primary}]
            dimensions: [{name: nick, type: categorical}]
        metrics:
          - {name: orders, label: Orders, type: simple, type_params: {measure: orders}}
          - {name: revenue, label: Revenue, type: simple, type_params: {measure: revenue}}
          - {name: returns, label: Returns, type: simple, type_params: {measure: returns}}
          - {name: median_amount, label: Median, type: simple, type_params: {measure: median_amount}}
          - {name: shops, label: Shops, type: simple, type_params: {measure: shops}}
          - {name: return_rate, label: Rate, type: ratio, type_params: {numerator: returns, denominator: orders}}
          - name: dear_orders
            label: Dear
            type: simple
            type_params: {measure: orders}
            filter: "{{ Dimension('sale__is_dear') }}"
    """,
    "feature_views/shop.yml": """
        feature_views:
          - name: buying
            entity: customer
            schedule: day
            features:
              - {metric: orders, windows: [1 day, 7 days]}
              - {metric: return_rate, windows: [all]}
              - {metric: revenue, windows: [7 days]}
              - {metric: median_amount, windows: [7 days]}
              - {metric: shops, windows: [7 days]}
              - {metric: dear_orders, windows: [all]}
              - {dimension: customer__nick, as_of: current}
          - name: visiting
            entity: [customer, shop]
            schedule: hour
            ttl: 1 day
            lookback: 3 days
            features: [{metric: orders, windows: [24 hours]}]
        feature_services:
          - name: churn_v1
            features: [buying, visiting]
            owner: ada@example.com
    """,
}


@pytest.fixture(scope="module")
def schema(needs_postgres, zone):
    with own_schema(needs_postgres, SCHEMA) as schema:
        yield schema


@pytest.fixture(scope="module")
def server(schema):
    return schema.connection


@pytest.fixture(scope="module")
def built(schema, tmp_path_factory):
    """The project's directory, and exit code, stdout and stderr of its build."""
    profile = schema.output(password="{{ env_var('SHOP_PASSWORD', 'none') }}")
    root = write_project(tmp_path_factory.mktemp("shop"), FILES | {"profiles.yml": profiles(profile)})
    with pytest.MonkeyPatch.context() as patched:
        prepare(patched, root, schema)
        return root, run_captured("build")


def prepare(patched, root, schema):
    patched.setenv("SHOP_PASSWORD", schema.output()["password"])
    patched.chdir(root)


@pytest.fixture(scope="module")
def project(built):
    """The built project's directory. What a test changes in it, it changes back."""
    root, (code, out, err) = built
    assert code == 0, out + err
    return root


@pytest.fixture(autouse=True, params=["America/New_York"], scope="module")
def zone(request):
    """The zone of every session: what is written and read is UTC, whatever it is."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PGTZ", request.param)
        yield request.param


@pytest.fixture
def gemel(project, monkeypatch, capsys, schema):
    """`gemel` in the project: exit code, stdout, stderr."""
    prepare(monkeypatch, project, schema)

    def run(*arguments):
        code = main(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_a_project_that_was_never_generated_nor_built_is_built_in_one_go(built):
    project, (code, out, err) = built
    assert code == 0, out + err
    assert "all equal" in err.splitlines()[-1]
    text = (project / "feature_views/definitions.py").read_text()
    assert f".{SCHEMA}.buying" in text and "PostgreSQLSource" in text
    assert "COPY" not in (project / "models/features/buying.sql").read_text()


def test_what_was_generated_is_up_to_date(gemel):
    assert gemel("generate", "--check")[0] == 0


def test_it_is_asked_and_checked(gemel):
    code, out, _ = gemel(
        "query",
        "--metrics",
        "orders,revenue,return_rate",
        "--group-by",
        "customer",
        "--order",
        "customer",
        "--format",
        "json",
    )
    assert (code, json.loads(out)) == (
        0,
        [
            {"customer": "a", "orders": 2, "revenue": 3.75, "return_rate": 0.5},
            {"customer": "b", "orders": 1, "revenue": 4.0, "return_rate": 0.0},
        ],
    )
    code, out, err = gemel("validate", "--data", "--strict")
    assert code == 0, out + err


def test_the_online_store_answers_with_the_newest_row(gemel):
    code, out, _ = gemel("features", "online", "buying", "customer=a", "--format", "json")
    assert (code, json.loads(out)) == (
        0,
        {
            "orders_1d": None,
            "orders_7d": 1,
            "return_rate_all": 0.5,
            "return_rate_all__numerator": 1,
            "return_rate_all__denominator": 2,
            "revenue_7d": 2.25,
            "median_amount_7d": 2.25,
            "shops_7d": 1,
            "dear_orders_all": 1,
            "nick": "Ada",
        },
    )


def test_stock_feast_makes_a_training_set_of_what_was_known_at_each_moment(project, gemel):
    import pandas
    from feast import FeatureStore

    moments = ["2024-01-02 23:59:59", "2024-01-03 00:00:00", "2024-01-04 00:00:00", "2024-01-09 00:00:00"]
    labels = pandas.DataFrame(
        {"customer": "a", "event_timestamp": pandas.to_datetime(moments, utc=True), "left": range(4)}
    )
    store = FeatureStore(repo_path=str(project / "feature_views"))
    result = store.get_historical_features(labels, features=["buying:orders_7d", "buying:nick"]).to_df()
    result = result.sort_values("left")
    assert result["orders_7d"].fillna(0).tolist() == [0, 1, 2, 2]  # the sale at midnight of Jan 3 is known on Jan 4


def test_stock_feast_materializes_the_same(project, gemel):
    import datetime as dt

    from feast import FeatureStore

    before = gemel("features", "online", "buying", "customer=a", "--format", "json")[1]
    store = FeatureStore(repo_path=str(project / "feature_views"))
    with redirect_stdout(io.StringIO()):
        store.materialize(dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime.now(dt.UTC))
    assert gemel("features", "online", "buying", "customer=a", "--format", "json")[1] == before


def test_stock_feast_monitors_the_tables(project, server):
    from feast import FeatureStore
    from feast.monitoring.monitoring_service import MonitoringService

    service = MonitoringService(FeatureStore(repo_path=str(project / "feature_views")))
    assert service.auto_compute()["computed_feature_views"] == 2
    [row] = [row for row in service.get_baseline("shop", "buying", "revenue_7d") if row["granularity"] == "baseline"]
    numbers = "count(*), count(*) - count(revenue_7d), avg(revenue_7d), stddev_samp(revenue_7d), max(revenue_7d)"
    [by_hand] = server.execute(f"select {numbers} from {SCHEMA}.buying").fetchall()
    assert [row[name] for name in ("row_count", "null_count", "mean", "stddev", "max_val")] == pytest.approx(by_hand)


def test_stock_feast_goes_on_where_we_ended(project, gemel):
    import datetime as dt

    from feast import FeatureStore

    assert gemel("features", "materialize")[0] == 0
    before = gemel("features", "online", "buying", "customer=a", "--format", "json")[1]
    store = FeatureStore(repo_path=str(project / "feature_views"))
    start = store.get_feature_view("buying").most_recent_end_time
    assert dt.datetime.now(dt.UTC) - start < dt.timedelta(hours=1)
    with redirect_stdout(io.StringIO()) as told:
        store.materialize_incremental(dt.datetime.now(dt.UTC))
    assert f"{start.replace(microsecond=0)}" in told.getvalue() and "1 year" not in told.getvalue()
    assert gemel("features", "online", "buying", "customer=a", "--format", "json")[1] == before


def test_a_training_set_is_made_of_tables_that_are_on_the_server(project, gemel):
    select = f"select customer, shop, sold_at + interval 1 day as event_timestamp from {SCHEMA}.sales order by sale_id"
    for accuracy, orders in (("served", [1, 2, 1]), ("exact", [2, 2, 1])):
        made = library.load(project).training_set("buying.orders_7d", select, accuracy=accuracy)
        assert made.arrow()["orders_7d"].to_pylist() == orders


def test_one_value_changed_in_the_table_is_reported_as_that_one(gemel, server):
    where = "customer = 'a' and event_timestamp = '2024-01-04 00:00Z'"
    change = f"update {SCHEMA}.buying set revenue_7d = revenue_7d + %s where {where}"
    server.execute(change, (1,))
    code, out, _ = gemel("verify")
    server.execute(change, (-1,))
    assert code == 1
    assert "different buying.revenue_7d  customer=a  2024-01-04 00:00  BI=3.75  table=4.75" in out
    assert gemel("verify", "-q")[0] == 0


def test_a_table_with_a_lookback_is_made_again_in_part_and_refuses_to_be_of_two_definitions(gemel, server):
    rows = f"select customer, shop, event_timestamp, orders_24h from {SCHEMA}.visiting order by 1, 2, 3"
    before = server.execute(rows).fetchall()
    server.execute(f"delete from {SCHEMA}.visiting where event_timestamp < '2024-01-05 00:00Z'")
    code, out, err = gemel("features", "backfill", "--start", "2024-01-01", "--end", "2024-01-05", "visiting")
    assert (code, server.execute(rows).fetchall()) == (0, before), out + err
    assert err == "rebuilt from 2024-01-01 00:00:00 to 2024-01-05 00:00:00: visiting\n"
    [(made,)] = server.execute(f"select distinct definition from {SCHEMA}.visiting").fetchall()
    change = f"update {SCHEMA}.visiting set definition = %s where event_timestamp > '2024-01-09 00:00Z'"
    server.execute(change, ("another",))
    code, out, err = gemel("features", "backfill", "--start", "2024-01-01", "--end", "2024-01-05", "visiting")
    left = server.execute(f"select count(*) from {SCHEMA}.visiting").fetchone()
    server.execute(change, (made,))
    assert code == 1 and "visiting was built from another definition" in err
    assert left == (len(before),)


def test_changes_that_are_older_than_the_lookback_are_found_by_plain_dbt(project, gemel, server):
    from gemel.dbt.running import run_dbt

    def rows():
        names = "customer, shop, event_timestamp, orders_24h"
        return server.execute(f"select {names} from {SCHEMA}.visiting order by 1, 2, 3").fetchall()

    def remade():
        return server.execute(f"select sum(facts), count(*) filter (where is_changed) from {FINGERPRINT}").fetchone()

    def run(*more):
        run_dbt(["run", "--select", "sales", "visiting", *more], project)

    sales = project / "models/sales.sql"
    text, before = sales.read_text(), rows()
    run()
    assert (remade(), rows()) == ((3, 0), before)
    sales.write_text(text.replace("timestamp '2024-01-02 10:00'", "timestamp '2024-01-01 07:00'"))
    run()
    after = rows()
    assert after != before and remade()[1] == 2
    run("--full-refresh")
    assert rows() == after
    sales.write_text("\n".join(line for line in text.split("\n") if "(3, 'b'" not in line).replace("false),", "false)"))
    run()
    assert {row[0] for row in rows()} == {"a"}
    sales.write_text(text)
    run()
    assert rows() == before


def test_a_table_of_another_definition_is_refused_and_one_without_a_record_is_used(gemel, server):
    train = ("training-set", "buying.revenue_7d", "--spine", "labels.csv", "--out", "o.parquet", "--accuracy", "served")
    Path("labels.csv").write_text("customer,event_timestamp\na,2024-01-05\n")
    server.execute(
        f"insert into {SCHEMA}.gemel_builds values ('buying', 'ffffffffffff', 'i', timestamp '2999-01-01', null)"
    )
    for command in (train, ("features", "materialize", "buying")):
        code, _, err = gemel(*command)
        message = "G538 the table of 'buying' was built from another definition (ffffffffffff, and today's is "
        assert (code, message in err) == (1, True), err
        assert "), on 2999-01-01 00:00 UTC, by dbt's invocation i\n" in err
    assert gemel("features", "materialize", "visiting")[0] == 0
    assert "of 'buying' was built from another definition" in "".join(gemel("verify")[1:])
    server.execute(f"delete from {SCHEMA}.gemel_builds where definition = 'ffffffffffff'")
    assert gemel(*train)[0] == gemel("features", "materialize")[0] == 0
    server.execute(f"alter table {SCHEMA}.gemel_builds rename to other_builds")
    code, _, err = gemel(*train)
    server.execute(f"alter table {SCHEMA}.other_builds rename to gemel_builds")
    assert (code, err.splitlines()[0].startswith("no record says what built buying")) == (0, True), err
