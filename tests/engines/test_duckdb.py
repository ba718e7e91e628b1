"""A DuckDB file, queried and never written."""

import datetime as dt
import os
import signal
import subprocess
import sys
import threading
import time
from decimal import Decimal

import duckdb
import pytest

from gemel.engines.connections.duckdb import Warehouse
from gemel.engines.connections.files import Attachment, Profile
from gemel.errors import WarehouseError


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE TABLE sales AS SELECT 'n' AS region, 2.50::DECIMAL(9, 2) AS amount, DATE '2024-01-01' AS day"
        )
        connection.execute("CREATE VIEW north AS SELECT * FROM shop.main.sales WHERE region = 'n'")
    return path


def warehouse(file, **changed):
    return Warehouse(Profile("shop", "dev", path=str(file), database="shop", **changed))


def refused(sql, file, **changed):
    with warehouse(file, **changed) as opened, pytest.raises(WarehouseError) as caught:
        opened.run(sql).rows()
    return caught.value


def test_an_answer_has_columns_types_and_rows(file):
    with warehouse(file) as shop:
        result = shop.run("SELECT * FROM shop.main.sales")
        assert result.columns == ("region", "amount", "day")
        assert result.types == ("VARCHAR", "DECIMAL(9,2)", "DATE")
        assert result.rows() == [("n", Decimal("2.50"), dt.date(2024, 1, 1))]


def test_an_answer_can_be_had_in_several_forms_in_any_order(file):
    with warehouse(file) as shop:
        result = shop.run("SELECT region FROM sales")
        assert result.arrow().to_pydict() == {"region": ["n"]}
        assert result.rows() == result.rows() == [("n",)]
        assert result.arrow().column_names == ["region"]


def test_rows_keep_the_order_that_was_asked_for(file):
    with warehouse(file) as shop:
        assert shop.run("SELECT * FROM (VALUES (1), (3), (2)) AS t(x) ORDER BY x DESC").rows() == [(3,), (2,), (1,)]


def test_describe_names_the_columns_without_running(file):
    with warehouse(file) as shop:
        assert shop.describe("SELECT amount, count(*) AS n FROM sales, range(10000000000) GROUP BY 1") == (
            ("amount", "DECIMAL(9,2)"),
            ("n", "BIGINT"),
        )


def test_a_copy_under_another_name_still_answers_with_its_views(file, tmp_path):
    copy = file.rename(tmp_path / "backup.of.shop.db")
    with warehouse(copy) as shop:
        assert shop.run("SELECT count(*) FROM shop.main.north").rows() == [(1,)]


def test_an_attached_file_is_read_under_its_name(file, tmp_path):
    with duckdb.connect(str(tmp_path / "raw.duckdb")) as connection:
        connection.execute("CREATE TABLE events AS SELECT 7 AS n")
    with warehouse(file, attach=(Attachment(str(tmp_path / "raw.duckdb"), "landing"),)) as shop:
        assert shop.catalogs() == {"shop", "landing"}
        assert shop.run("SELECT n FROM landing.main.events").rows() == [(7,)]


def test_settings_of_the_profile_hold(file):
    with warehouse(file, settings={"TimeZone": "Asia/Tokyo"}) as shop:
        assert shop.run("SELECT current_setting('TimeZone')").rows() == [("Asia/Tokyo",)]


def test_times_with_a_zone_are_of_utc_wherever_it_runs(file, monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    with warehouse(file) as shop:
        hour = "SELECT CAST(date_trunc('hour', TIMESTAMPTZ '2024-01-01 10:30:00+00') AS VARCHAR)"
        assert shop.run(hour).rows() == [("2024-01-01 10:00:00+00",)]


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO sales SELECT * FROM sales",
        "CREATE TABLE shop.main.more AS SELECT 1",
        "DROP TABLE sales",
        "SET enable_external_access = true",
    ],
)
def test_nothing_is_ever_written(file, sql):
    before = file.read_bytes()
    assert refused(sql, file).code in ("G406", "G407")
    assert file.read_bytes() == before


def test_a_name_in_sql_is_never_a_python_variable(file):
    secrets = {"password": ["hunter2"]}
    assert refused("SELECT * FROM secrets", file).code == "G405"
    assert secrets


def test_a_missing_file_is_refused_and_not_created(tmp_path):
    error = refused("SELECT 1", tmp_path / "none.duckdb")
    assert (error.code, "does not exist" in error.message) == ("G401", True)
    assert not (tmp_path / "none.duckdb").exists()


def test_a_directory_is_not_a_database(tmp_path):
    assert "is a directory" in refused("SELECT 1", tmp_path).message


def test_a_file_of_another_kind_is_reported_as_no_database(tmp_path):
    (tmp_path / "x.duckdb").write_text("region,amount\n" * 1000)
    assert refused("SELECT 1", tmp_path / "x.duckdb").code == "G402"


def test_a_database_in_memory_has_nothing_to_ask():
    assert refused("SELECT 1", ":memory:").code == "G401"


def test_a_file_that_another_process_writes_to_is_reported_with_that_process(file):
    holding = f"import duckdb; c = duckdb.connect({str(file)!r}); print('held', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", holding], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        error = refused("SELECT 1", file)
        holder.communicate("\n")
    assert (error.code, f"process {holder.pid}" in error.message) == ("G403", True)


def test_a_file_that_this_process_writes_to_is_reported_as_locked(file):
    with duckdb.connect(str(file)):
        assert refused("SELECT 1", file).code == "G403"


@pytest.mark.parametrize(
    ("sql", "code", "hint"),
    [
        ("SELECT * FROM salez", "G405", "sales"),
        ("SELECT amuont FROM sales", "G406", "amount"),
        ("SELEC 1", "G406", "dbt build"),
        ("SELECT region::INT FROM sales", "G407", "type"),
        ("SELECT * FROM 'gone.parquet'", "G401", "its views read"),
    ],
)
def test_what_the_database_refuses_becomes_one_line_and_a_hint(file, sql, code, hint):
    error = refused(sql, file)
    assert error.code == code
    assert "\n" not in error.message and "Error:" not in error.message
    assert hint in error.hint


@pytest.mark.parametrize("form", ["rows", "arrow"])
def test_ctrl_c_stops_the_query_and_leaves_the_connection_usable(file, form):
    with warehouse(file) as shop:
        forever = shop.run("SELECT count(*) FROM range(1000000000) a, range(1000000) b WHERE a.range % 7 = b.range % 5")
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            getattr(forever, form)()
        assert time.monotonic() - start < 5
        assert shop.run("SELECT 1").rows() == [(1,)]
