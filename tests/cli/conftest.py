"""A shop of four sales, as a manifest and a DuckDB file with no dbt around them."""

import json
from types import SimpleNamespace

import duckdb
import pytest

from worlds.sales import DEFINITIONS, ROWS


@pytest.fixture
def files(tmp_path, monkeypatch):
    """`.manifest` and `.database`; the working directory is empty, and no dbt project is above it."""
    monkeypatch.chdir(tmp_path)
    manifest, database = tmp_path / "semantic_manifest.json", tmp_path / "backup.duckdb"
    manifest.write_text(json.dumps(DEFINITIONS))
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
