"""The definitions of a shop as YAML, combined with those of a test, and the findings on them."""

import duckdb
import yaml

from gemel import checks
from gemel.compiler.names.graph import bind
from gemel.dbt.semantic.reading import read_manifest
from gemel.engines.connections.duckdb import Warehouse
from gemel.engines.connections.files import Profile
from gemel.run import Runner

SALES = """
name: sales
node_relation: {alias: sales, schema_name: main}
defaults: {agg_time_dimension: sold_at}
entities:
  - {name: sale, type: primary, expr: id}
  - {name: customer, type: foreign, expr: customer_id}
dimensions:
  - {name: sold_at, type: time, type_params: {time_granularity: day}}
  - {name: region, type: categorical}
measures:
  - {name: amount, agg: sum}
"""
CUSTOMERS = """
name: customers
node_relation: {alias: customers, schema_name: main}
entities:
  - {name: customer, type: primary, expr: customer_id}
dimensions:
  - {name: segment, type: categorical}
"""
REVENUE = "{name: revenue, type: simple, type_params: {measure: {name: amount}}}"
DAYS = "{node_relation: {alias: days, schema_name: main}, primary_column: {name: day, time_granularity: day}}"
TABLES = """
CREATE TABLE sales AS SELECT 1 AS id, 7 AS customer_id, DATE '2024-01-01' AS sold_at, 'n' AS region, 10 AS amount;
CREATE TABLE customers AS SELECT 7 AS customer_id, 'gold' AS segment;
CREATE TABLE days AS SELECT unnest(generate_series(DATE '2024-01-01', DATE '2024-12-31', INTERVAL 1 day))::DATE AS day;
"""


def graph_of(*metrics, models=(SALES, CUSTOMERS), spines=(DAYS,), saved_queries=()):
    """The definitions of YAML texts. A metric is added to `revenue`."""
    return bind(
        read_manifest(
            {
                "semantic_models": [yaml.safe_load(model) for model in models],
                "metrics": [yaml.safe_load(metric) for metric in (REVENUE, *metrics)],
                "saved_queries": [yaml.safe_load(saved) for saved in saved_queries],
                "project_configuration": {"time_spines": [yaml.safe_load(spine) for spine in spines]},
            }
        )
    )


def findings_of(*metrics, **definitions):
    """The findings on definitions: `["G151 the expr of metric 'profit' does not use its input 'cost'"]`."""
    return as_texts(checks.check(graph_of(*metrics, **definitions)))


def findings_in(folder, *metrics, tables="", check=checks.check_tables, **definitions):
    """The findings on definitions in a warehouse with TABLES, as `tables` changes them."""
    file = folder / "shop.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute(TABLES + tables)
    with Warehouse(Profile("", "", path=str(file), database="shop")) as warehouse:
        return as_texts(check(graph_of(*metrics, **definitions), Runner(warehouse)))


def as_texts(findings):
    for finding in findings:
        assert finding.about and finding.hint, f"no place or no way out: {finding}"
    return [f"{finding.code} {finding.message}" for finding in findings]
