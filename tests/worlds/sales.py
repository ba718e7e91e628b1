"""Four sales, as a manifest and as rows of DuckDB, with no dbt around them."""

DEFINITIONS = {
    "semantic_models": [
        {
            "name": "sales",
            "defaults": {"agg_time_dimension": "sold_at"},
            "node_relation": {"alias": "sales", "schema_name": "main", "database": "warehouse"},
            "entities": [
                {"name": "sale", "type": "primary", "expr": "sale_id"},
                {"name": "customer", "type": "foreign"},
            ],
            "dimensions": [
                {"name": "sold_at", "type": "time", "type_params": {"time_granularity": "day"}},
                {"name": "region", "type": "categorical", "label": "Region"},
            ],
            "measures": [
                {"name": "amount", "agg": "sum"},
                {"name": "sale_count", "agg": "count", "expr": "1"},
                {"name": "tax", "agg": "sum", "expr": "amount * 0.19"},
            ],
        }
    ],
    "metrics": [
        {
            "name": "revenue",
            "type": "simple",
            "label": "Revenue",
            "description": "What was sold.",
            "type_params": {"measure": {"name": "amount"}},
        },
        {"name": "orders", "type": "simple", "type_params": {"measure": {"name": "sale_count"}}},
        {
            "name": "per_order",
            "type": "ratio",
            "type_params": {"numerator": {"name": "revenue"}, "denominator": {"name": "orders"}},
        },
    ],
    "saved_queries": [
        {
            "name": "by_region",
            "query_params": {"metrics": ["revenue"], "group_by": ["sale__region"], "order_by": ["-revenue"]},
        }
    ],
}
ROWS = """
    (1, 'a', 'north', 10.00, DATE '2024-01-05'),
    (2, 'a', 'south', 5.50, DATE '2024-01-20'),
    (3, 'b', 'north', 2.25, DATE '2024-02-01'),
    (4, NULL, NULL, 1.00, DATE '2024-02-29')
"""
