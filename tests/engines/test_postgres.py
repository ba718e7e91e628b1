"""A PostgreSQL database, queried and never written."""

import datetime as dt
import threading
import time
from decimal import Decimal

import psycopg
import pytest

from gemel.dbt.profile import Target
from gemel.engines.connections.opening import open_target
from gemel.engines.connections.postgres import Server, Warehouse, read_server
from gemel.errors import WarehouseError
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
        ("sum(1::bigint)", "DECIMAL"),
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


def test_a_terminated_session_is_reported_and_the_next_query_opens_another(shop, needs_postgres):
    [(pid,)] = shop.run("SELECT pg_backend_pid()").rows()
    with psycopg.connect(needs_postgres, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (pid,))
    assert refused(shop, "SELECT 1").code == "G401"
    assert shop.run("SELECT 1").rows() == [(1,)]


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
