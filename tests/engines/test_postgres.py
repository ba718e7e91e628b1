"""A PostgreSQL database, queried and never written."""

import datetime as dt
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

import psycopg
import pytest

from gemel.cancellation import Cancellation
from gemel.dbt.profile import Target
from gemel.engines.connections.opening import open_target
from gemel.engines.connections.postgres import Server, Warehouse, read_server
from gemel.errors import WarehouseError
from gemel.spec.limits import Limits
from worlds.postgres import own_name, own_schema

SCHEMA = own_name("queried")


@pytest.fixture(scope="module")
def server(needs_postgres):
    with own_schema(needs_postgres, SCHEMA) as schema:
        schema.connection.execute(f"CREATE TYPE {SCHEMA}.mood AS ENUM ('good', 'bad')")
        schema.connection.execute(
            f"CREATE TABLE {SCHEMA}.sales AS "
            "SELECT 'n' AS region, 2.50::numeric(9, 2) AS amount, date '2024-01-01' AS day"
        )
        yield Server(schema.connection.info.dbname, schema.options, search_path=SCHEMA)


@pytest.fixture
def shop(server):
    with Warehouse(server) as opened:
        yield opened


def refused(shop, sql):
    with pytest.raises(WarehouseError) as caught:
        shop.run(sql).rows()
    return caught.value


def test_an_answer_has_columns_types_and_rows(shop):
    result = shop.run("SELECT * FROM sales")
    assert result.columns == ("region", "amount", "day")
    assert result.types == ("VARCHAR", "DECIMAL(9,2)", "DATE")
    assert result.rows() == result.rows() == [("n", Decimal("2.50"), dt.date(2024, 1, 1))]
    assert result.arrow().to_pydict() == {"region": ["n"], "amount": [Decimal("2.50")], "day": [dt.date(2024, 1, 1)]}
    assert result.df()["region"].tolist() == ["n"]


def test_whole_numbers_beside_null_stay_whole_in_a_data_frame(shop):
    column = shop.run("SELECT 9007199254740993 AS n UNION ALL SELECT NULL ORDER BY 1").df()["n"]
    assert (str(column.dtype), column[0]) == ("Int64", 9007199254740993)


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("true", "BOOLEAN"),
        ("1::smallint", "SMALLINT"),
        ("1", "INTEGER"),
        ("count(*)", "BIGINT"),
        ("sum(1::bigint)", "HUGEINT"),
        ("sum(1.5)", "DECIMAL"),
        ("sum(1::bigint) + 0.5", "DECIMAL"),
        ("1.5::real", "FLOAT"),
        ("1.5::float8", "DOUBLE"),
        ("'a'", "VARCHAR"),
        ("'a'::char(3)", "VARCHAR"),
        ("now()", "TIMESTAMP WITH TIME ZONE"),
        ("localtimestamp", "TIMESTAMP"),
        ("'\\x00'::bytea", "BLOB"),
        ("array[1]", "INTEGER[]"),
        ("gen_random_uuid()", "UUID"),
        ("interval '1 day'", "INTERVAL"),
        ("'good'::mood", "VARCHAR"),
    ],
)
def test_types_have_the_names_that_rules_use(shop, sql, kind):
    assert shop.describe(f"SELECT {sql} AS x") == (("x", kind),)
    table = shop.run(f"SELECT {sql} AS x").arrow()
    assert table.column_names == ["x"] and table.num_rows == 1


def test_describe_names_the_columns_without_running(shop):
    started = time.monotonic()
    assert shop.describe("SELECT 1 AS n, 1 / 0 AS never, pg_sleep(60)::text AS late")[0] == ("n", "INTEGER")
    assert time.monotonic() - started < 5


def test_times_are_utc_whatever_the_servers_zone_is(shop, monkeypatch):
    monkeypatch.setenv("PGTZ", "America/New_York")
    moment = "'2024-01-01 00:30Z'::timestamptz"
    [(moment, floor)] = shop.run(f"SELECT {moment}, date_trunc('day', {moment})::timestamp").rows()
    assert (moment.isoformat(), floor) == ("2024-01-01T00:30:00+00:00", dt.datetime(2024, 1, 1))


def test_nothing_can_be_written(shop):
    with pytest.raises(WarehouseError, match="G407 cannot execute CREATE TABLE in a read-only transaction"):
        shop.rows(f"CREATE TABLE {SCHEMA}.mine (x int)")
    with pytest.raises(WarehouseError, match="read-only"):
        shop.rows(f"DELETE FROM {SCHEMA}.sales RETURNING 1")


@pytest.mark.parametrize(
    ("sql", "code", "says"),
    [
        ("SELECT * FROM nothing", "G405", 'relation "nothing" does not exist'),
        ("SELECT * FROM nowhere.sales", "G405", "nowhere.sales"),
        ("SELECT regon FROM sales", "G406", 'column "regon" does not exist'),
        ("SELECT strftime(day, '%Y') FROM sales", "G406", "function strftime"),
        ("SELECT FROM WHERE", "G406", "syntax error"),
        ("SELECT region::integer FROM sales", "G407", "invalid input syntax for type integer"),
        ("SELECT 1 / (amount - amount) FROM sales", "G407", "division by zero"),
    ],
)
def test_an_error_of_the_server_becomes_an_error_of_ours(shop, sql, code, says):
    error = refused(shop, sql)
    assert error.code == code and says in error.message
    assert shop.run("SELECT 1").rows() == [(1,)]  # and the session goes on


def test_a_server_that_cannot_be_reached_is_named_without_its_password():
    with pytest.raises(WarehouseError, match=r"G401 127\.0\.0\.1:1/shop cannot be reached") as caught:
        Warehouse(Server("shop", {"host": "127.0.0.1", "port": 1, "user": "ada", "password": "hush"})).run("SELECT 1")
    assert "hush" not in str(caught.value)


def test_a_session_that_the_server_ended_while_it_was_idle_is_replaced(shop, needs_postgres):
    [(pid,)] = shop.run("SELECT pg_backend_pid()").rows()
    with psycopg.connect(needs_postgres, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (pid,))
    [(next_pid,)] = shop.run("SELECT pg_backend_pid()").rows()
    assert next_pid != pid


def test_a_session_that_ends_while_it_runs_is_reported(shop, needs_postgres):
    def end():
        with psycopg.connect(needs_postgres, autocommit=True) as other:
            named = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(31)%'"
            other.execute(named)

    threading.Timer(0.5, end).start()
    assert refused(shop, "SELECT pg_sleep(31)::text").code == "G401"
    assert shop.run("SELECT 1").rows() == [(1,)]


def test_threads_ask_at_once_and_wait_for_their_turn(server):
    with Warehouse(server, limits=Limits(at_once=4)) as shop, ThreadPoolExecutor(16) as threads:
        asked = [f"SELECT {n} AS n, pg_backend_pid() AS pid, pg_sleep(0.01)::text" for n in range(200)]
        answers = list(threads.map(lambda sql: shop.run(sql).rows()[0], asked))
    assert [n for n, *_ in answers] == list(range(200))
    assert 1 < len({pid for _, pid, _ in answers}) <= 4


def test_a_question_waits_no_longer_than_it_may(server):
    with Warehouse(server, limits=Limits(at_once=1, wait=0.1)) as shop, ThreadPoolExecutor(1) as threads:
        slow = threads.submit(shop.rows, "SELECT pg_sleep(1)::text")
        time.sleep(0.3)
        with pytest.raises(WarehouseError, match=r"G403 1 other queries are still running after 0\.1 seconds"):
            shop.rows("SELECT 1")
        assert slow.result() == [("",)]
        assert shop.rows("SELECT 1") == [(1,)]


def test_a_thread_that_reads_batches_asks_another_question_meanwhile(server):
    with Warehouse(server, limits=Limits(at_once=1, wait=1)) as shop:
        sizes = [shop.rows(f"SELECT {len(batch)}") for batch in shop.batches("SELECT generate_series(1, 3)", size=2)]
    assert sizes == [[(2,)], [(1,)]]


def test_closing_waits_for_the_questions_of_other_threads_and_the_next_one_opens_again(server):
    with Warehouse(server) as shop, ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(shop.rows, f"SELECT {n}, pg_sleep(0.02)::text") for n in range(100)]
        while not all(each.done() for each in asked):
            shop.close()
        assert [each.result()[0][0] for each in asked] == list(range(100))


READ_ONLY = "current_setting('transaction_read_only')"
LOCKS = "(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())"


@pytest.mark.parametrize(
    ("change", "setting"),
    [
        ("SELECT set_config('TimeZone', 'Asia/Tokyo', false)", "current_setting('TimeZone')"),
        ("SELECT set_config('search_path', 'pg_catalog', false)", "current_setting('search_path')"),
        ("SELECT set_config('role', 'pg_monitor', false)", "current_user"),
        ("SELECT set_config('default_transaction_read_only', 'off', false)", READ_ONLY),
        ("SELECT set_config('statement_timeout', '1', false)", "current_setting('statement_timeout')"),
        ("SELECT pg_advisory_lock(7)", LOCKS),
        ("SELECT 1; COMMIT; SET TimeZone = 'Asia/Tokyo'", "current_setting('TimeZone')"),
        ("SELECT 1; COMMIT; PREPARE kept AS SELECT 1", "(SELECT count(*) FROM pg_prepared_statements)"),
    ],
)
def test_no_question_changes_a_later_one(shop, change, setting):
    asked = f"SELECT {setting}, pg_backend_pid()"
    before = shop.rows(asked)
    with suppress(WarehouseError):
        shop.rows(change)
    assert shop.rows(asked) == before  # of the same session


def test_a_question_that_runs_too_long_is_stopped(shop):
    started = time.monotonic()
    with pytest.raises(WarehouseError, match=r"G410 the query was stopped after 0\.3 seconds"):
        shop.run("SELECT pg_sleep(60)::text", limits=Limits(time=0.3)).rows()
    assert time.monotonic() - started < 5
    assert shop.rows("SELECT current_setting('statement_timeout')") == [("0",)]


def test_a_result_has_no_more_rows_than_it_may(shop):
    asked = "SELECT generate_series(1, 10) AS n"
    assert len(shop.run(asked, limits=Limits(rows=10)).rows()) == 10
    with pytest.raises(WarehouseError, match="G410 the result has more than 9 rows"):
        shop.run(asked, limits=Limits(rows=9)).rows()


def test_memory_and_disk_are_limited_where_the_role_may(server):
    limits = Limits(memory=2**20, disk=2**20)
    settings = "SELECT current_setting('work_mem'), current_setting('temp_file_limit')"
    with Warehouse(server, limits=limits) as shop:
        assert shop.rows(settings) == shop.rows(settings) == [("1MB", "1MB")]
        with pytest.raises(WarehouseError, match="G410 temporary file size exceeds"):
            shop.rows("SELECT count(*) FROM (SELECT g FROM generate_series(1, 2000000) g ORDER BY -g OFFSET 1) x")
    with Warehouse(replace(server, role="pg_monitor", search_path=None), limits=limits) as shop:
        assert shop.rows(settings) == shop.rows(settings) == [("1MB", "1MB")]  # set before the role is


def test_ctrl_c_stops_the_query_and_leaves_the_session_usable(shop):
    forever = shop.run("SELECT pg_sleep(60)::text")
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        forever.rows()
    assert time.monotonic() - started < 5
    assert shop.run("SELECT 1").rows() == [(1,)]


@pytest.mark.parametrize("delay", [0, 0.05, 0.5])
def test_another_thread_cancels_a_question_and_nothing_else(shop, delay):
    cancellation, errors = Cancellation(), []

    def ask():
        with cancellation.scope(), pytest.raises(WarehouseError) as caught:
            shop.run("SELECT pg_sleep(60)::text").rows()
        errors.append(caught.value.code)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(delay)
    started = time.monotonic()
    cancellation.cancel()
    for _ in range(20):
        assert shop.run("SELECT pg_sleep(0.01)::text").rows() == [("",)]
    for thread in threads:
        thread.join()
    assert errors == ["G411"] * 3 and time.monotonic() - started < 5
    with cancellation.scope(), pytest.raises(WarehouseError, match="G411"):  # it stays cancelled
        shop.run("SELECT 1").rows()


def test_a_long_question_can_be_cancelled_from_another_session(shop, needs_postgres):
    [(pid,)] = shop.run("SELECT pg_backend_pid()").rows()

    def cancel():
        with psycopg.connect(needs_postgres, autocommit=True) as other:
            other.execute("SELECT pg_cancel_backend(%s)", (pid,))

    threading.Timer(0.5, cancel).start()
    assert refused(shop, "SELECT pg_sleep(30)::text").code == "G407"


def test_rows_that_do_not_fit_into_memory_come_in_batches(shop):
    batches = list(shop.batches("SELECT generate_series(1, 25)", size=10))
    assert [len(batch) for batch in batches] == [10, 10, 5]


def test_tables_are_borrowed_when_they_are_first_named(shop, tmp_path):
    with shop.scratch(tmp_path) as scratch:
        rows = scratch.rows(f"SELECT region, amount, day FROM {SCHEMA}.sales")
        assert rows == [("n", Decimal("2.50"), dt.date(2024, 1, 1))]
        database = shop.server.database
        assert scratch.make("mine", f'SELECT count(*) AS n FROM "{database}".{SCHEMA}.sales') == 1
        assert scratch.rows("SELECT n FROM temp.main.mine") == [(1,)]


def test_scratches_copy_a_table_once_for_all_and_do_not_see_each_others_tables(shop, tmp_path, monkeypatch):
    copied = []
    batches = shop.batches
    monkeypatch.setattr(shop, "batches", lambda sql, **more: copied.append(sql) or batches(sql, **more))
    with shop.scratches() as open_scratch:
        for _ in range(3):
            with open_scratch(tmp_path) as scratch:
                assert scratch.make("mine", f"SELECT region FROM {SCHEMA}.sales") == 1
                assert scratch.rows("SELECT region FROM temp.main.mine") == [("n",)]
    assert copied == [f'SELECT * FROM "{SCHEMA}"."sales"']


def target(**written):
    return Target("shop", "prod", "postgres", written, file="profiles.yml")


def test_a_profile_is_read_as_dbt_reads_it(monkeypatch):
    monkeypatch.setenv("SHOP_PASSWORD", "hush")
    server = read_server(
        target(
            host="db", port=5433, user="ada", password="{{ env_var('SHOP_PASSWORD') }}", dbname="shop", role="reader"
        )
    )
    assert (server.database, server.role, str(server)) == ("shop", "reader", "db:5433/shop")
    assert (server.options["password"], "hush" in repr(server)) == ("hush", False)
    assert read_server(target(host="db", user="ada", **{"pass": "x"}, database="shop")).options["password"] == "x"
    with pytest.raises(WarehouseError, match="G404 target 'prod' of profile 'shop' names no database"):
        read_server(target(host="db"))


def test_a_target_opens_the_warehouse_of_its_kind(tmp_path):
    assert open_target(target(host="db", dbname="shop"), tmp_path).dialect == "postgres"
    with pytest.raises(WarehouseError, match="gemel can query only duckdb and postgres for now"):
        open_target(Target("shop", "lake", "snowflake", {}, file=tmp_path), tmp_path)


def test_the_zone_of_dbts_sessions_is_the_one_that_the_server_begins_with(server, monkeypatch):
    monkeypatch.setenv("PGTZ", "America/New_York")
    with Warehouse(server) as shop:
        assert shop.zone() == "America/New_York"
        assert shop.run("SELECT current_setting('TimeZone')").rows() == [("UTC",)]
