"""A day of new, late, corrected and deleted facts, the whole way: dbt's tables, their copies, and the online store."""

import json
import shutil

import duckdb
import pytest

from gemel.cli import main
from gemel.dbt.running import run_dbt
from gemel.errors import ProjectError
from worlds.sales_project import FILES

# What foreign libraries warn of, now and when their objects are collected, is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")

SALES = """select * from (values
{rows}
) as sales (sale_id, customer, shop, amount, sold_at, returned)
"""
AFTER = [
    "(1, 'a', 10, 1.50, timestamp '2024-01-02 10:00', true)",
    "(2, 'a', 20, 9.75, timestamp '2024-01-03 00:00', false)",  # corrected: it was 2.25
    # The third, the only one of b, was deleted.
    "(4, 'a', 10, 7.00, timestamp '2024-01-02 11:00', false)",  # late by a week
    "(5, 'c', 20, 3.00, timestamp '2024-01-08 12:00', false)",  # new
]


@pytest.fixture
def shop(built_sales, tmp_path, monkeypatch):
    """The built project, of which both tables have a lookback that is shorter than the changes are old."""
    root = shutil.copytree(built_sales / "as_built", tmp_path / "shop")
    views = root / "feature_views/shop.yml"
    views.write_text(FILES["feature_views/shop.yml"].replace("schedule:", "lookback: 1 day\n            schedule:"))
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def gemel(shop, capsys):
    def run(*arguments):
        code = main(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def tables(shop):
    """The rows of both tables, without when they were made, and the steps of their fingerprints."""
    with duckdb.connect(str(shop / "shop.duckdb"), read_only=True) as con:
        rows = [
            con.execute(f"select * exclude (created_timestamp) from {name} order by all").fetchall()
            for name in ("buying", "visiting", "read_parquet('feature_views/data/buying.parquet')")
        ]
        prints = "select event_timestamp, facts, hash from {}__fingerprint where facts > 0 order by all"
        return [*rows, *(con.execute(prints.format(name)).fetchall() for name in ("buying", "visiting"))]


def test_a_day_of_new_late_corrected_and_deleted_facts(shop, gemel):
    assert gemel("generate")[0] == 0
    run_dbt(["run"], shop)
    before = tables(shop)
    assert gemel("features", "online", "buying", "customer=b")[0] == 0

    (shop / "models/sales.sql").write_text(SALES.format(rows=",\n".join(AFTER)))
    (shop / "models/customers.sql").write_text("select 'a' as customer, 'Bea' as nick")
    copy = shop / "feature_views/data/buying.parquet"
    copy.rename(shop / "kept.parquet")
    copy.mkdir()
    with pytest.raises(ProjectError, match=r"buying\.parquet"):  # after the rows and the fingerprint are replaced
        run_dbt(["run"], shop)
    copy.rmdir()
    (shop / "kept.parquet").rename(copy)
    assert tables(shop)[0] == before[0]
    assert tables(shop)[3] == before[3]

    run_dbt(["build"], shop)
    after = tables(shop)
    assert after[0] != before[0]
    run_dbt(["run", "--full-refresh"], shop)
    assert tables(shop) == after

    code, out, err = gemel("features", "materialize")
    assert code == 0, out + err
    code, out, _ = gemel("features", "online", "buying", "customer=a", "--format", "json")
    assert (code, json.loads(out)["revenue_7d"], json.loads(out)["nick"]) == (0, 9.75, "Bea")
    assert gemel("features", "online", "buying", "customer=b") == (1, "", "nothing is online for customer=b\n")
    assert gemel("features", "online", "visiting", "customer=b", "shop=10")[0] == 1
    assert gemel("features", "online", "buying", "customer=c")[0] == 0
    code, out, err = gemel("verify")
    assert code == 0 and "all equal" in err, out + err
