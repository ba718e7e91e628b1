"""The files of a dbt project of a few sales: what every such project has, and one with feature views."""

import json
from typing import Any


def profiles(output: dict[str, Any], **others: dict[str, Any]) -> str:
    """The text of profiles.yml: the target `dev`, and others by name."""
    return json.dumps({"shop": {"target": "dev", "outputs": {"dev": output, **others}}})


PROJECT = """
    name: shop
    profile: shop
    flags: {send_anonymous_usage_stats: false}
"""
BASE = {
    "dbt_project.yml": PROJECT,
    "profiles.yml": profiles({"type": "duckdb", "path": "shop.duckdb"}),
    "models/days.sql": "select cast('2024-01-01' as date) as day union all select cast('2024-01-02' as date)",
    "models/days.yml": """
        models:
          - name: days
            time_spine: {standard_granularity_column: day}
            columns: [{name: day, granularity: day}]
    """,
}
FILES = BASE | {
    "dbt_project.yml": PROJECT + '    vars: {gemel_until: "2024-01-10 00:00:00"}\n',
    "models/sales.sql": """
        select * from (values
            (1, 'a', 10, 1.50, timestamp '2024-01-02 10:00', true),
            (2, 'a', 20, 2.25, timestamp '2024-01-03 00:00', false),
            (3, 'b', 10, 4.00, timestamp '2024-01-09 00:30', false)
        ) as sales (sale_id, customer, shop, amount, sold_at, returned)
    """,
    "models/customers.sql": "select 'a' as customer, 'Ada' as nick",
    "models/days.sql": "select unnest(generate_series(date '2024-01-01', date '2024-01-31', interval 1 day)) as day",
    "models/models.yml": """
        semantic_models:
          - name: sales
            model: ref('sales')
            defaults: {agg_time_dimension: sold_at}
            entities:
              - {name: sale, type: primary, expr: sale_id}
              - {name: customer, type: foreign}
              - {name: shop, type: foreign}
            dimensions: [{name: sold_at, type: time, type_params: {time_granularity: second}}]
            measures:
              - {name: orders, agg: count, expr: sale_id}
              - {name: revenue, agg: sum, expr: amount}
              - {name: returns, agg: sum_boolean, expr: returned}
          - name: customers
            model: ref('customers')
            entities: [{name: customer, type: primary}]
            dimensions: [{name: nick, type: categorical}]
        metrics:
          - {name: orders, label: Orders, type: simple, type_params: {measure: orders}}
          - {name: revenue, label: Revenue, type: simple, type_params: {measure: revenue}}
          - {name: returns, label: Returns, type: simple, type_params: {measure: returns}}
          - {name: return_rate, label: Rate, type: ratio, type_params: {numerator: returns, denominator: orders}}
    """,
    "feature_views/shop.yml": """
        feature_views:
          - name: buying
            entity: customer
            schedule: day
            push: true
            freshness: 3 days
            features:
              - {metric: orders, windows: [1 day, 7 days]}
              - {metric: return_rate, windows: [all]}
              - {metric: revenue, windows: [7 days]}
              - {dimension: customer__nick, as_of: current}
          - name: visiting
            entity: [customer, shop]
            schedule: hour
            ttl: 1 day
            features: [{metric: orders, windows: [24 hours]}]
        on_demand_views:
          - name: offering
            description: What an offer is to a customer.
            inputs: {price: float64, pieces: int64, coupon: string, asked_at: timestamp, gift: bool}
            features:
              - {name: price_against_usual, expr: price / buying.revenue_7d, description: Of a week's revenue.}
              - {name: pieces_and_orders, expr: "pieces + coalesce(buying.orders_7d, 0)"}
              - {name: label, expr: "upper(trim(coupon)) || '-' || buying.nick"}
              - {name: hour_asked, expr: extract(hour from asked_at)}
              - {name: big_gift, expr: "case when gift and pieces > 10 then true end"}
        feature_services:
          - name: churn_v1
            features: [buying, visiting]
            owner: ada@example.com
          - name: offer_v1
            features: [buying.orders_7d, offering]
            owner: ada@example.com
    """,
}
