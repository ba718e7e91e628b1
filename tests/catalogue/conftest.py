"""A shop whose words are hostile to HTML and JavaScript, as a manifest and a DuckDB file."""

import json
from types import SimpleNamespace

import duckdb
import pytest

HOSTILE = (
    "</script><script>document.title='owned'</script> & \"quotes\", `ticks`, Grüße \u2028 <img src=x onerror=alert(1)>"
)

RETURNED = "Goods **taken back**, see [the rules](https://example.com/returns).\n\n- by month\n- not by day"

SHOP = {
    "semantic_models": [
        {
            "name": "sales",
            "defaults": {"agg_time_dimension": "sold_at"},
            "node_relation": {"alias": "sales", "schema_name": "main", "database": "shop"},
            "entities": [{"name": "sale", "type": "primary", "expr": "id"}],
            "dimensions": [
                {"name": "sold_at", "type": "time", "type_params": {"time_granularity": "day"}},
                {"name": "region", "type": "categorical", "description": HOSTILE},
            ],
            "measures": [
                {"name": "amount", "agg": "sum"},
                {"name": "last_region", "agg": "max", "expr": "region"},
                {"name": "lost", "agg": "sum", "expr": "not_there"},
            ],
        },
        {
            "name": "returns",
            "defaults": {"agg_time_dimension": "month"},
            "node_relation": {"alias": "returns", "schema_name": "main", "database": "shop"},
            "entities": [{"name": "return", "type": "primary", "expr": "id"}],
            "dimensions": [{"name": "month", "type": "time", "type_params": {"time_granularity": "month"}}],
            "measures": [{"name": "returned", "agg": "sum", "expr": "amount"}],
        },
    ],
    "metrics": [
        {
            "name": "revenue",
            "type": "simple",
            "label": "Revenue",
            "description": HOSTILE,
            "type_params": {"measure": {"name": "amount"}},
            "config": {"meta": {"owner": "sales@example.com"}},
        },
        {"name": "last_region", "type": "simple", "type_params": {"measure": {"name": "last_region"}}},
        {"name": "lost", "type": "simple", "type_params": {"measure": {"name": "lost"}}},
        {
            "name": "returned",
            "type": "simple",
            "description": RETURNED,
            "type_params": {"measure": {"name": "returned"}},
        },
        {
            "name": "return_rate",
            "type": "ratio",
            "type_params": {"numerator": {"name": "returned"}, "denominator": {"name": "revenue"}},
        },
        {
            "name": "revenue_less_returned",
            "type": "derived",
            "type_params": {
                "expr": "revenue - coalesce(returned, 0)",
                "metrics": [{"name": "revenue"}, {"name": "returned"}],
            },
        },
        {
            "name": "share",
            "type": "ratio",
            "type_params": {"numerator": {"name": "revenue"}, "denominator": {"name": "revenue", "alias": "all"}},
        },
        {
            "name": "share_a_year_ago",
            "type": "derived",
            "type_params": {
                "expr": "ago",
                "metrics": [{"name": "share", "alias": "ago", "offset_window": {"count": 1, "granularity": "year"}}],
            },
        },
        {
            "name": "revenue_long_ago",
            "type": "derived",
            "type_params": {
                "expr": "ago",
                "metrics": [{"name": "revenue", "alias": "ago", "offset_window": {"count": 9, "granularity": "year"}}],
            },
        },
    ],
    "project_configuration": {
        "time_spines": [
            {
                "node_relation": {"alias": "days", "schema_name": "main", "database": "shop"},
                "primary_column": {"name": "day", "time_granularity": "day"},
            }
        ]
    },
    "saved_queries": [
        {"name": "by_region", "query_params": {"metrics": ["revenue"], "group_by": ["Dimension('sale__region')"]}}
    ],
}


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """`.project` with a year and more of sales, and `.path`. The week of 2024-05-06 has none."""
    import gemel

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)  # no dbt project is above it
    manifest, database = tmp_path / "semantic_manifest.json", tmp_path / "shop.duckdb"
    manifest.write_text(json.dumps(SHOP))
    with duckdb.connect(str(database)) as connection:
        connection.execute("""
            CREATE TABLE sales AS
            SELECT row_number() OVER () AS id, day::DATE AS sold_at, 'north' AS region, 10.5::DECIMAL(9, 2) AS amount
            FROM range(DATE '2023-01-01', DATE '2024-07-03', INTERVAL 1 DAY) AS days(day)
            WHERE day NOT BETWEEN DATE '2024-05-06' AND DATE '2024-05-12'
        """)
        connection.execute("""
            CREATE TABLE days AS
            SELECT day::DATE AS day FROM range(DATE '2022-01-01', DATE '2026-01-01', INTERVAL 1 DAY) AS days(day)
        """)
        connection.execute("CREATE TABLE returns (id INT, month DATE, amount DECIMAL(9, 2))")
    return SimpleNamespace(project=gemel.load(manifest, database=database), path=tmp_path)
