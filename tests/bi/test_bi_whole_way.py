"""What is generated for BI, built by `dbt build` alone: cell for cell the query's answer, on DuckDB and PostgreSQL."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

import gemel as library
from gemel.cli import main
from gemel.compiler.compiled import compile_table, keep_text
from gemel.dbt.running import run_dbt
from worlds.postgres import own_name, own_schema
from worlds.projects import write_project
from worlds.sales_project import BASE, profiles

# What foreign libraries warn of, now and when their objects are collected, is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")

FILES = BASE | {
    "models/sales.sql": """
        select * from (values
            (1, 'a', 1.50, timestamp '2024-01-02 10:00', true),
            (2, 'a', 2.25, timestamp '2024-01-03 00:00', false),
            (3, 'b', 4.00, timestamp '2024-02-09 00:30', false),
            (4, cast(null as varchar(9)), 8.00, timestamp '2024-02-10 00:30', null),
            (5, 'c', null, cast(null as timestamp), true)
        ) as sales (sale_id, customer, amount, sold_at, returned)
    """,
    "models/customers.sql": "select 'a' as customer, 'Ada' as nick union all select 'b', 'Bo'",
    "models/models.yml": """
        semantic_models:
          - name: sales
            model: ref('sales')
            config: {meta: {gemel: {wide_view: {materialized: table}}}}
            defaults: {agg_time_dimension: sold_at}
            entities:
              - {name: sale, type: primary, expr: sale_id}
              - {name: customer, type: foreign}
            dimensions: [{name: sold_at, type: time, type_params: {time_granularity: second}}]
            measures:
              - {name: orders, agg: count, expr: sale_id}
              - {name: revenue, agg: sum, expr: amount}
              - {name: returns, agg: sum_boolean, expr: returned}
              - {name: middle, agg: median, expr: amount, create_metric: true}
          - name: customers
            model: ref('customers')
            entities: [{name: customer, type: primary}]
            dimensions: [{name: nick, type: categorical}]
        metrics:
          - {name: orders, label: Orders, type: simple, type_params: {measure: orders}}
          - {name: revenue, label: Revenue, type: simple, type_params: {measure: revenue}}
          - {name: returns, label: Returns, type: simple, type_params: {measure: returns}}
          - {name: return_rate, label: Rate, type: ratio, type_params: {numerator: returns, denominator: orders}}
          - name: adas_revenue
            label: Ada's
            type: simple
            type_params: {measure: revenue}
            filter: "{{ Dimension('customer__nick') }} = 'Ada'"
        saved_queries:
          - name: by_month
            query_params:
              metrics: [orders, revenue, return_rate, middle]
              group_by: ["TimeDimension('metric_time', 'month')", "Dimension('customer__nick')"]
            exports:
              - {name: monthly, config: {export_as: table, alias: Monthly_T}}
              - {name: monthly_view, config: {export_as: view, schema: bi}}
            config:
              meta:
                gemel: {consumers: [{name: board, owner: ada@example.com, url: "https://bi.example.com"}]}
          - name: lately
            query_params:
              metrics: [orders]
              group_by: ["Entity('customer')"]
              where:
                - "{{ TimeDimension('metric_time', 'day') }} < current_date"
                - "{{ Metric('orders', ['customer']) }} > 0"
              order_by: ["Metric('orders').descending(True)", "Entity('customer')"]
              limit: 2
            exports: [{name: lately, config: {export_as: table}}]
    """,
}

EXPORTS = {"monthly": "by_month", "monthly_view": "by_month", "lately": "lately"}


@pytest.fixture(scope="module", params=["duckdb", "postgres"])
def project(request, tmp_path_factory):
    """The directory of a project that was generated and then built by dbt alone."""
    root = write_project(tmp_path_factory.mktemp("shop"), FILES)
    if request.param == "postgres":
        schema = request.getfixturevalue("schema")
        write_project(root, {"profiles.yml": profiles(schema.output())})
    assert main(["generate", "--project-dir", str(root)]) == 0
    run_dbt(("build",), root)
    assert main(["generate", "--project-dir", str(root)]) == 0  # the engine tells the types now
    return root


@pytest.fixture(scope="module")
def schema(needs_postgres):
    with own_schema(needs_postgres, own_name("bi")) as schema:
        yield schema


@pytest.fixture
def shop(project):
    shop = library.load(project)
    yield shop
    shop.close()


def relation(project: Path, model: str) -> str:
    return str(
        json.loads((project / "target/manifest.json").read_text())["nodes"][f"model.shop.{model}"]["relation_name"]
    )


def sorted_rows(answer):
    return sorted(answer.rows(), key=repr)


@pytest.mark.parametrize("export", EXPORTS)
def test_what_dbt_built_is_the_saved_querys_answer_cell_for_cell(project, shop, export):
    answer = shop.query(saved_query=EXPORTS[export])
    built = shop.session.runner.rows(compile_table(relation(project, export), shop.session.dialect))
    assert built.columns == answer.columns
    assert sorted_rows(built) == sorted_rows(answer)
    assert len(answer.rows()) == {"by_month": 4, "lately": 2}[EXPORTS[export]]


def test_the_models_are_built_where_the_exports_say(project):
    assert relation(project, "monthly").endswith('."Monthly_T"')
    assert '_bi"."monthly_view"' in relation(project, "monthly_view")


@pytest.mark.parametrize("group_by", [(), ("customer__nick",), ("customer", "sale")])
def test_the_formulas_copied_from_the_yaml_give_the_metrics(project, shop, group_by):
    [wide] = [each for each in properties(project)["models"] if each["name"] == "sales_wide"]
    metrics = wide["config"]["meta"]["gemel"]["metrics"]
    assert set(metrics) == {"orders", "revenue", "returns", "middle", "return_rate", "adas_revenue"}
    keys = ", ".join(group_by)
    formulas = ", ".join(entry["formula"] for entry in metrics.values())
    columns = f"{keys}, {formulas}" if keys else formulas
    text = f"SELECT {columns} FROM {relation(project, 'sales_wide')}" + (f" GROUP BY {keys}" if keys else "")
    built = shop.session.runner.rows(keep_text(text, shop.session.dialect))
    answer = shop.query(list(metrics), list(group_by))
    assert sorted_rows(built) == sorted_rows(answer)


def properties(project):
    return yaml.safe_load((project / "models/bi/_bi.yml").read_text())


def test_dbt_tests_that_each_group_has_one_row_and_each_fact_too(project):
    nodes = json.loads((project / "target/manifest.json").read_text())["nodes"]
    assert {name.split(".")[2] for name in nodes if name.startswith("test.")} == {
        "lately_has_one_row_for_each_group",
        "monthly_has_one_row_for_each_group",
        "monthly_view_has_one_row_for_each_group",
        "sales_wide_has_one_row_for_each_sale",
    }
    results = json.loads((project / "target/run_results.json").read_text())["results"]
    assert {each["status"] for each in results if each["unique_id"].startswith("test.")} == {"pass"}


def test_dbt_has_the_consumers_as_exposures(project):
    manifest = json.loads((project / "target/manifest.json").read_text())
    [exposure] = manifest["exposures"].values()
    assert (exposure["type"], exposure["url"]) == ("dashboard", "https://bi.example.com")
    assert {"model.shop.monthly", "model.shop.monthly_view", "metric.shop.return_rate"} <= set(
        exposure["depends_on"]["nodes"]
    )


def test_the_types_are_written_down(project):
    [monthly] = [each for each in properties(project)["models"] if each["name"] == "monthly"]
    types = {column["name"]: column["data_type"] for column in monthly["columns"]}
    assert types["orders"] == "BIGINT"
    assert types["metric_time__month"] == "TIMESTAMP"


def test_a_deleted_or_edited_file_fails_the_check(project, capsys):
    generate = ["generate", "--project-dir", str(project)]
    assert main([*generate, "--check"]) == 0
    file = project / "models/bi/lately.sql"
    text = file.read_text()
    file.write_text(text.replace("COUNT", "SUM"))
    assert main([*generate, "--check"]) == 1
    assert "stale   models/bi/lately.sql" in capsys.readouterr().out
    file.unlink()
    assert main([*generate, "--check"]) == 1
    assert "missing models/bi/lately.sql" in capsys.readouterr().out
    assert main(generate) == 0
    assert file.read_text() == text


def test_a_deleted_file_that_an_exposure_names_fails_the_check_and_is_written_again(project, capsys):
    generate = ["generate", "--project-dir", str(project)]
    (project / "models/bi/monthly.sql").unlink()
    assert main([*generate, "--check"]) == 1
    assert "1 generated file is not up to date: run `gemel generate`" in capsys.readouterr().err
    assert main(generate) == 0
    assert "monthly.sql" in capsys.readouterr().out and (project / "models/bi/monthly.sql").exists()
    shutil.rmtree(project / "models/bi")
    assert main(generate) == 0
    assert "4 BI models: 5 files changed" in capsys.readouterr().err


def test_the_project_has_no_features_and_gets_no_feast_repository(project):
    assert not (project / "feature_views").exists()
