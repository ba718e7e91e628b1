"""A shop of four sales, as a manifest and a DuckDB file with no dbt around them."""

import json
from types import SimpleNamespace

import duckdb
import pytest

SHOP = {
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
            "measures": [{"name": "amount", "agg": "sum"}, {"name": "sale_count", "agg": "count", "expr": "1"}],
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


@pytest.fixture
def files(tmp_path, monkeypatch):
    """`.manifest` and `.database`; the working directory is empty, and no dbt project is above it."""
    monkeypatch.chdir(tmp_path)
    manifest, database = tmp_path / "semantic_manifest.json", tmp_path / "backup.duckdb"
    manifest.write_text(json.dumps(SHOP))
    with duckdb.connect(str(database)) as connection:
        connection.execute(
            f"CREATE TABLE sales AS FROM (VALUES {ROWS}) AS t(sale_id, customer, region, amount, sold_at)"
        )
    return SimpleNamespace(manifest=manifest, database=database)


@pytest.fixture
def gemel(files, capfd):
    """Run a command line; what it gave: `.code`, `.out` and `.err`."""
    from gemel.cli import main

    def run(*arguments, shop=True):
        where = ["--manifest", str(files.manifest), "--database", str(files.database)] if shop else []
        code = main([*arguments, *where])
        out, err = capfd.readouterr()
        return SimpleNamespace(code=code, out=out, err=err)

    return run
