"""A DuckDB file, queried and never written."""

import datetime as dt
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal

import duckdb
import pytest

from gemel.cancellation import Cancellation
from gemel.engines.connections.duckdb import Warehouse
from gemel.engines.connections.files import Attachment, Profile
from gemel.errors import WarehouseError
from gemel.spec.limits import NO_LIMITS, Limits


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE TABLE sales AS SELECT 'n' AS region, 2.50::DECIMAL(9, 2) AS amount, DATE '2024-01-01' AS day"
        )
        connection.execute("CREATE VIEW north AS SELECT * FROM shop.main.sales WHERE region = 'n'")
    return path


def warehouse(file, *, limits=NO_LIMITS, say=print, **changed):
    return Warehouse(Profile("shop", "dev", path=str(file), database="shop", **changed), limits=limits, say=say)


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


@pytest.mark.parametrize("name", ["x.duckdb", "x.csv"])
def test_a_file_of_another_kind_is_reported_as_no_database(tmp_path, name):
    """DuckDB 2 would attach a CSV file as a database of one table."""
    (tmp_path / name).write_text("region,amount\n" * 1000)
    assert refused("SELECT 1", tmp_path / name).code == "G402"


def test_a_database_in_memory_has_nothing_to_ask():
    assert refused("SELECT 1", ":memory:").code == "G401"


@contextmanager
def writing(file):
    """Another process that has the file open for writing."""
    holding = f"import duckdb; c = duckdb.connect({str(file)!r}); print('held', flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", holding], **pipes) as holder:
        assert holder.stdout.readline() == "held\n"
        try:
            yield holder
        finally:
            if holder.poll() is None:
                holder.communicate("\n")


def test_a_file_that_another_process_writes_to_is_reported_with_that_process(file):
    with writing(file) as holder:
        error = refused("SELECT 1", file, limits=Limits(wait=0.3))
    assert (error.code, f"process {holder.pid}" in error.message) == ("G403", True)


def test_a_question_waits_for_the_process_that_writes_to_the_file(file):
    lines = []

    def say(line):
        lines.append(line)
        holder.communicate("\n")

    with writing(file) as holder, warehouse(file, say=say) as shop:
        assert shop.run("SELECT region FROM sales").rows() == [("n",)]
    assert lines == [f"process {holder.pid} is writing to {file}; waiting for it to end"]


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
        ("SELECT * FROM 'gone.parquet'", "G401", "profiles.yml"),
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


@pytest.fixture
def files(file, tmp_path):
    """A database whose views read files, and a file that none reads."""
    for folder in ("one", "many", "other"):
        (tmp_path / folder).mkdir()
    with duckdb.connect(str(file)) as con:
        for name in ("one/a.csv", "many/a.parquet", "many/b.parquet", "other/secret.csv"):
            con.execute(f"COPY (SELECT 7 AS n) TO '{tmp_path / name}'")
        con.execute(f"CREATE VIEW one AS SELECT * FROM read_csv(['{tmp_path}/one/a.csv'], delim = ',')")
        con.execute(
            f"CREATE VIEW many AS SELECT n FROM '{tmp_path}/many/*.parquet' JOIN '{tmp_path}/one/a.csv' USING (n)"
        )
        con.execute(f"CREATE VIEW gone AS SELECT * FROM '{tmp_path}/one/a.csv'")
    return tmp_path


def test_the_files_that_views_read_can_be_read_and_no_other(file, files):
    with warehouse(file) as shop:
        assert shop.run("SELECT * FROM one").rows() == [(7,)]
        assert shop.run("SELECT * FROM many").rows() == [(7,), (7,)]
        assert shop.describe("SELECT * FROM many") == (("n", "INTEGER"),)
        assert list(shop.batches("SELECT * FROM one")) == [[(7,)]]
        for secret in (f"'{files}/other/secret.csv'", f"'{files}/one/../other/secret.csv'"):
            with pytest.raises(WarehouseError, match=r"(G401 Cannot access file|G405 Table with name).*secret"):
                shop.run(f"SELECT * FROM {secret}").rows()
        for reading in ("read_text", "read_csv", "read_blob", "glob"):
            with pytest.raises(WarehouseError, match=r"G401 .* no view names it as a text"):
                shop.run(f"SELECT * FROM {reading}('{files}/other/secret.csv')").rows()


def test_a_view_over_a_file_that_is_gone_says_so(file, files):
    (files / "one/a.csv").unlink()
    assert "one/a.csv" in refused("SELECT * FROM gone", file).message


def test_no_file_is_written_and_no_setting_changed(file, files):
    before = sorted(files.rglob("*"))
    with warehouse(file) as shop:
        shop.run("SELECT * FROM one").rows()
        for sql in (
            f"COPY (SELECT 1) TO '{files}/other/new.csv'",
            f"ATTACH '{files}/other/new.duckdb' AS more",
            "SET lock_configuration = false",
            "SET allowed_directories = ['/']",
            "SET enable_external_access = true",
            "INSTALL httpfs",
        ):
            with pytest.raises(WarehouseError):
                shop.run(sql).rows()
    assert sorted(files.rglob("*")) == before


def test_a_profile_can_open_the_file_system(file, files):
    with warehouse(file, settings={"enable_external_access": "true"}) as shop:
        assert shop.run(f"SELECT * FROM '{files}/other/secret.csv'").rows() == [(7,)]
    with warehouse(file, settings={"allowed_directories": f"['{files}/other']"}) as shop:
        assert shop.run(f"SELECT * FROM '{files}/other/secret.csv'").rows() == [(7,)]
        assert shop.run("SELECT * FROM one").rows() == [(7,)]


RELATIVE = {
    "pattern": "read_parquet('raw/*.parquet')",
    "parquet": "'raw/a.parquet'",
    "csv": "read_csv('./raw/a.csv', delim = ',')",
    "list": "read_csv(['raw/a.csv'])",
}


@pytest.fixture
def relative(file, tmp_path, monkeypatch):
    """Folders `project` and `other`: views of the database read relative files of the project."""
    for folder in ("project/raw", "other"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    with duckdb.connect(str(file)) as con:
        for name in ("a.csv", "a.parquet"):
            con.execute(f"COPY (SELECT 7 AS n) TO 'raw/{name}'")
        for name, source in RELATIVE.items():
            con.execute(f"CREATE VIEW {name} AS SELECT n FROM {source}")
    return tmp_path


@pytest.mark.parametrize("settings", [{}, {"enable_external_access": "true"}])
@pytest.mark.parametrize("view", RELATIVE)
def test_relative_files_of_views_are_found_from_another_folder(file, relative, monkeypatch, view, settings):
    def rows():
        with warehouse(file, folder=str(relative / "project"), settings=settings) as shop:
            assert shop.run(f"SELECT * FROM {view}").rows() == [(7,)]
            with shop.scratch(relative) as scratch:
                return scratch.rows(f"SELECT * FROM {view}")

    monkeypatch.chdir(relative / "other")
    assert rows() == [(7,)]
    (relative / "project/raw").rename(relative / "other/raw")  # dbt was run here
    assert rows() == [(7,)]
    (relative / "other/raw").rename(relative / "gone")
    assert "relative paths start at" in refused(f"SELECT * FROM {view}", file, folder=str(relative / "project")).hint


@pytest.mark.parametrize("settings", [{}, {"enable_external_access": "true"}])
def test_relative_files_that_are_in_both_folders_are_not_guessed(file, relative, monkeypatch, settings):
    monkeypatch.chdir(relative / "other")
    (relative / "other/raw").mkdir()
    duckdb.sql("COPY (SELECT 99 AS n) TO 'raw/b.parquet'")
    places = {"folder": str(relative / "project"), "settings": settings}
    error = refused("SELECT * FROM pattern", file, **places)
    assert (error.code, "'raw/*.parquet'" in error.message) == ("G401", True)
    assert "the folder in which dbt was run" in error.hint
    with warehouse(file, **places) as shop, pytest.raises(WarehouseError, match="G401"):
        shop.scratch(relative)
    if not settings:
        with warehouse(file, **places) as shop:  # a table needs no file
            assert shop.run("SELECT count(*) FROM sales").rows() == [(1,)]


def test_a_link_to_the_same_files_is_no_other_folder(file, relative, monkeypatch):
    monkeypatch.chdir(relative / "other")
    (relative / "other/raw").symlink_to(relative / "project/raw")
    with warehouse(file, folder=str(relative / "project")) as shop:
        assert shop.run("SELECT * FROM csv").rows() == [(7,)]


ENDLESS = "SELECT count(*) FROM range(1000000000) a, range(1000000) b WHERE a.range % 7 = b.range % 5"
UNSTOPPABLE = "SELECT levenshtein(repeat('a', n), repeat('b', n)) FROM (VALUES (40000), (40001)) t(n)"


@pytest.mark.parametrize("sql", [ENDLESS, UNSTOPPABLE])
@pytest.mark.parametrize("form", ["rows", "arrow", "df"])
def test_a_question_that_runs_too_long_is_stopped(file, sql, form):
    import pandas  # noqa: F401  its import takes longer than the question may

    with warehouse(file) as shop, ThreadPoolExecutor(1) as threads:
        for ask in (lambda work: work(), lambda work: threads.submit(work).result()):
            started = time.monotonic()
            with pytest.raises(WarehouseError, match=r"G410 the query was stopped after 0\.2 seconds"):
                ask(getattr(shop.run(sql, limits=Limits(time=0.2)), form))
            assert time.monotonic() - started < 4
            assert shop.run("SELECT 1").rows() == [(1,)]
        shop.close()
        assert shop.run("SELECT 1").rows() == [(1,)]
        for thread in shop._left:
            thread.join()


@pytest.mark.parametrize("delay", [0, 0.05, 0.5])
def test_another_thread_cancels_a_question_and_nothing_else(file, delay):
    with warehouse(file) as shop:
        cancellation, errors = Cancellation(), []

        def ask():
            with cancellation.scope(), pytest.raises(WarehouseError) as caught:
                shop.run(ENDLESS).rows()
            errors.append(caught.value.code)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(delay)
        started = time.monotonic()
        cancellation.cancel()
        assert shop.run("SELECT 1").rows() == [(1,)]
        for thread in threads:
            thread.join()
        assert errors == ["G411"] * 3 and time.monotonic() - started < 5
        with cancellation.scope(), pytest.raises(WarehouseError, match="G411"):  # it stays cancelled
            shop.run("SELECT 1").rows()


def test_a_question_that_waits_for_its_turn_can_be_cancelled(file):
    with warehouse(file, limits=Limits(at_once=1)) as shop:
        first, second = Cancellation(), Cancellation()

        def ask(cancellation):
            with cancellation.scope(), pytest.raises(WarehouseError, match="G411"):
                shop.run(ENDLESS).rows()

        with ThreadPoolExecutor() as pool:
            running = pool.submit(ask, first)
            time.sleep(0.3)
            waiting = pool.submit(ask, second)
            time.sleep(0.3)
            second.cancel()
            waiting.result(timeout=5)
            assert not running.done()
            first.cancel()
            running.result(timeout=5)


@pytest.mark.parametrize("form", ["rows", "arrow", "df"])
def test_a_result_has_no_more_rows_than_it_may(file, form):
    with warehouse(file) as shop:
        sql = "SELECT range AS n FROM range(10) ORDER BY n DESC"
        assert len(getattr(shop.run(sql, limits=Limits(rows=10)), form)()) == 10
        with pytest.raises(WarehouseError, match="G410 the result has more than 9 rows"):
            getattr(shop.run(sql, limits=Limits(rows=9)), form)()


def test_memory_and_disk_are_limited(file):
    sorting = "SELECT count(*) FROM (SELECT DISTINCT range, hash(range), md5(range::TEXT) FROM range(3000000))"
    with warehouse(file, limits=Limits(memory=50 * 2**20, disk=0)) as shop:
        with pytest.raises(WarehouseError, match="G410 out of memory"):
            shop.run(sorting).rows()
        assert shop.run("SELECT 1").rows() == [(1,)]


def test_threads_ask_at_once_and_closing_waits_for_them(file):
    with warehouse(file) as shop, ThreadPoolExecutor(16) as threads:
        asked = [threads.submit(lambda n=n: shop.run(f"SELECT {n}, count(*) FROM sales").rows()) for n in range(400)]
        while not all(each.done() for each in asked):
            shop.close()
        assert [each.result() for each in asked] == [[(n, 1)] for n in range(400)]


def test_an_answer_outlives_the_closing_of_the_file(file):
    with warehouse(file) as shop:
        result = shop.run("SELECT region FROM sales")
        shop.close()
        with duckdb.connect(str(file)) as con:
            con.execute("UPDATE sales SET region = 's'")
        assert result.rows() == [("s",)]


def test_a_scratch_and_questions_do_not_hinder_each_other(file, tmp_path):
    with warehouse(file) as shop, shop.scratch(tmp_path) as scratch:
        assert scratch.make("mine", "SELECT * FROM sales") == 1
        assert shop.run("SELECT region FROM sales").rows() == scratch.rows("SELECT region FROM mine")


def test_threads_share_a_connection_that_the_caller_opened(file):
    with duckdb.connect(str(file)) as con, ThreadPoolExecutor(8) as threads:
        shop = Warehouse(Profile("", "", path=":memory:", database="memory"), con)
        asked = [threads.submit(lambda n=n: shop.run(f"SELECT {n}, count(*) FROM sales").rows()) for n in range(200)]
        assert [each.result() for each in asked] == [[(n, 1)] for n in range(200)]
        shop.close()
        assert con.execute("SELECT count(*) FROM sales").fetchall() == [(1,)]


def test_the_sum_of_whole_numbers_is_a_bigint_whatever_form_it_is_taken_in():
    with Warehouse(Profile("", "", path=":memory:", database="memory"), duckdb.connect()) as warehouse:
        sql = "SELECT 'n' AS region, 7::HUGEINT AS key, sum(x) AS total FROM (VALUES (1), (NULL)) AS t(x) ORDER BY 1"
        result = warehouse.run(sql, numbers={"total": "BIGINT"})
        assert result.types == ("VARCHAR", "HUGEINT", "BIGINT")
        assert result.rows() == [("n", 7, 1)]
        assert str(result.arrow().schema.field("total").type) == "int64"
        assert str(result.df()["total"].dtype) == "int64"


def test_a_sum_that_does_not_fit_is_refused_with_the_metric():
    with Warehouse(Profile("", "", path=":memory:", database="memory"), duckdb.connect()) as warehouse:
        sql = "SELECT sum(9223372036854775807) AS total FROM range(2)"
        with pytest.raises(WarehouseError, match="G407 a sum of whole numbers does not fit into BIGINT: total"):
            warehouse.run(sql, numbers={"total": "BIGINT"}).rows()
        decimal = "SELECT sum(9223372036854775807::DECIMAL(38, 0)) AS total FROM range(2)"
        assert warehouse.run(decimal, numbers={"total": "BIGINT"}).rows() == [(18446744073709551614,)]
