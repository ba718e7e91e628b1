"""A market of sales and customers with everything that reads them, as values: no dbt, no database, no file."""

from gemel.compiler.names.graph import bind
from gemel.dbt.semantic.reading import read_manifest
from gemel.features.binding import bind_features
from gemel.graph.building import build
from gemel.spec.feature_views import parse_feature_views
from gemel.spec.manifest import Relation
from gemel.spec.project import DbtProject, Exposure, Node


def relation(name):
    return {"alias": name, "schema_name": "main", "database": "market"}


def time(name, grain="second", **more):
    return {"name": name, "type": "time", "type_params": {"time_granularity": grain}, **more}


def simple(name, measure=None, **more):
    return {"name": name, "type": "simple", "type_params": {"measure": {"name": measure or name}}, **more}


DEFINITIONS = {
    "semantic_models": [
        {
            "name": "sales",
            "node_relation": relation("orders"),
            "defaults": {"agg_time_dimension": "sold_at"},
            "entities": [
                {"name": "sale", "type": "primary", "expr": "sale_id"},
                {"name": "customer", "type": "foreign", "expr": "customer_id"},
            ],
            "dimensions": [
                time("sold_at"),
                {"name": "size", "type": "categorical", "expr": "case when amount > 100 then 'large' else tier end"},
                {"name": "is_paid", "type": "categorical"},
            ],
            "measures": [
                {"name": "revenue", "agg": "sum", "expr": "amount - discount"},
                {"name": "returns", "agg": "sum_boolean", "expr": "is_returned"},
                {"name": "sales", "agg": "count", "expr": "1"},
            ],
        },
        {
            "name": "customers",
            "node_relation": relation("customers"),
            "entities": [{"name": "customer", "type": "primary", "expr": "id"}],
            "dimensions": [{"name": "country", "type": "categorical", "expr": "upper(country_code)"}],
        },
    ],
    "metrics": [
        simple("revenue", description="What was sold.", config={"meta": {"owner": "sales@example.com"}}),
        simple("returned", "returns"),
        simple("sales"),
        {
            "name": "return_rate",
            "type": "ratio",
            "type_params": {
                "numerator": {"name": "returned"},
                "denominator": {"name": "sales", "filter": "{{ Dimension('sale__is_paid') }}"},
            },
        },
        simple("nordic_revenue", "revenue", filter="{{ Dimension('customer__country') }} = 'IS'"),
        {
            "name": "growth",
            "type": "derived",
            "type_params": {
                "expr": "revenue - before",
                "metrics": [
                    {"name": "revenue"},
                    {"name": "revenue", "alias": "before", "offset_window": {"count": 1, "granularity": "week"}},
                ],
            },
        },
    ],
    "saved_queries": [
        {
            "name": "by_country",
            "query_params": {
                "metrics": ["return_rate"],
                "group_by": ["Dimension('customer__country')", "TimeDimension('metric_time', 'day')"],
                "where": {"where_filters": [{"where_sql_template": "{{ Dimension('sale__size') }} = 'large'"}]},
            },
        }
    ],
    "project_configuration": {
        "time_spines": [
            {"node_relation": relation("days"), "primary_column": {"name": "day", "time_granularity": "day"}},
            {"node_relation": relation("seconds"), "primary_column": {"name": "second", "time_granularity": "second"}},
        ]
    },
}
FEATURES = """
feature_views:
  - name: buying
    entity: customer
    schedule: day
    owner: ml@example.com
    features:
      - metric: return_rate
        windows: [7 days]
      - metric: revenue
        windows: [1 day]
      - dimension: customer__country
        as_of: current
on_demand_views:
  - name: asking
    inputs: {price: float64}
    features:
      - {name: against_revenue, expr: price / buying.revenue_1d}
feature_services:
  - name: churn_v1
    owner: churn@example.com
    features: [buying.return_rate_7d, asking]
"""


def table(name, *parents, kind="model", **more):
    schema, _, alias = name.rpartition(".")
    written = f'"market"."{schema or "main"}"."{alias}"'
    return Node(
        **{
            "id": f"{kind}.market.{name}",
            "kind": kind,
            "name": name,
            "unique_name": name,
            "relation": Relation(alias, "main", "market"),
            "relation_name": written,
            "parents": parents,
            **more,
            "columns": dict.fromkeys(more.get("columns", ())),
        }
    )


RAW = table("till.orders", kind="source", columns=("order_id", "amount"))
ORDERS = table("orders", RAW.id)
CUSTOMERS = table("customers", kind="seed", columns=("id", "country_code"))
BUYING = table("buying", ORDERS.id, CUSTOMERS.id, gemel={"feature_view": "buying"})
VIEW = table("by_country", ORDERS.id, columns=("return_rate",), gemel={"saved_query": "by_country"})
WIDE = table(
    "sales_wide",
    ORDERS.id,
    columns=("sale", "customer__country", "revenue"),
    gemel={"wide_view_of": "sales", "metrics": {"growth": "..."}},
)
BOARD = Exposure(
    "board",
    "dashboard",
    (ORDERS.id, "metric.market.return_rate"),
    owner="Ada <ada@example.com>",
    url="https://bi.example.com/board",
)
SERVICE = Exposure("churn_v1", "ml", (BUYING.id,), owner="churn@example.com", gemel={"feature_service": "churn_v1"})
SCORES = table("scores", BUYING.id)


def market(definitions=DEFINITIONS, features=FEATURES, tables=(), exposures=(BOARD, SERVICE)):
    """The lineage of the market; `tables` are added, and take the place of others of their id."""
    graph = bind(read_manifest(definitions))
    bound = bind_features(graph, parse_feature_views([("feature_views/market.yml", features)] if features else []))
    every = {each.id: each for each in (RAW, ORDERS, CUSTOMERS, BUYING, VIEW, WIDE, SCORES, *tables)}
    return build(graph, bound, DbtProject("market", nodes=every, exposures=exposures, is_parsed=True), {})


def edges(part):
    return {(edge.source, edge.target, edge.why) for edge in part.edges}


def ids(part):
    return {node.id for node in part.nodes}
