"""Queries of one project: their limits, many threads at once, and what errors say to whom."""

import asyncio
import datetime as dt
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pytest

import gemel
from gemel import pipeline
from gemel.compiler.compiled import keep_text
from gemel.dbt.failures import DatabaseInUseError
from gemel.errors import ProjectError, QueryError, WarehouseError
from gemel.locking import hold_lock
from gemel.run import Runner
from gemel.session import open_session
from gemel.spec.principal import Principal
from worlds.postgres import own_name, own_schema

SCHEMA = own_name("running")
MODEL = {
    "name": "sales",
    "node_relation": {"alias": "sales", "schema_name": "main", "database": "shop"},
    "defaults": {"agg_time_dimension": "sold_at"},
    "primary_entity": "sale",
    "entities": [],
    "dimensions": [
        {"name": "region", "type": "categorical"},
        {"name": "digits", "type": "categorical", "expr": "CAST(region AS INTEGER)"},
        {"name": "sold_at", "type": "time", "type_params": {"time_granularity": "day"}},
    ],
    "measures": [{"name": "amount", "agg": "sum"}],
}
REVENUE = {"name": "revenue", "type": "simple", "type_params": {"measure": {"name": "amount"}}}
ROWS = "(VALUES ('secret n', 10, DATE '2024-01-01'), ('s', 20, DATE '2024-01-02')) AS t(region, amount, sold_at)"


def write(root, profile, limits="{}", schema="main", database="shop", timezone="UTC"):
    for folder in ("metrics", "target"):
        (root / folder).mkdir(parents=True)
    (root / "dbt_project.yml").write_text(
        f"name: shop\nprofile: shop\nmodel-paths: [metrics]\nvars:\n  gemel:\n    limits: {limits}\n"
        f"    timezone: {timezone}\n"
    )
    (root / "profiles.yml").write_text(f"shop: {{target: dev, outputs: {{dev: {json.dumps(profile)}}}}}")
    model = {**MODEL, "node_relation": {"alias": "sales", "schema_name": schema, "database": database}}
    content = {"semantic_models": [model], "metrics": [REVENUE], "saved_queries": []}
    (root / "target/semantic_manifest.json").write_text(json.dumps(content))
    return root


@pytest.fixture
def make_shop(tmp_path):
    """A project over a DuckDB file, with limits."""
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as con:
        con.execute(f"CREATE TABLE sales AS SELECT * FROM {ROWS}")
    profile = {"type": "duckdb", "path": str(tmp_path / "shop.duckdb")}
    return lambda limits="{}", **more: write(tmp_path / "shop", profile, limits, **more)


@pytest.fixture
def on_postgres(needs_postgres, tmp_path):
    """The same project over a schema on a server."""
    with own_schema(needs_postgres, SCHEMA) as schema:
        schema.connection.execute(f"CREATE TABLE {SCHEMA}.sales AS SELECT * FROM {ROWS}")
        database = schema.connection.info.dbname
        profile = {"type": "postgres", "dbname": database, "schema": SCHEMA, **schema.options}
        yield write(tmp_path / "server", profile, schema=SCHEMA, database=database)


@pytest.fixture(params=["duckdb", "postgres"])
def project(request):
    """The project on each engine."""
    if request.param == "postgres":
        return request.getfixturevalue("on_postgres")
    return request.getfixturevalue("make_shop")()


def ask(shop, n):
    where = f"{{{{ Dimension('sale__region') }}}} <> 'r{n % 7}'"
    return shop.query(["revenue"], ["sale__region"], where=where, order_by=["revenue"]).rows()


ANSWER = [("secret n", 10), ("s", 20)]


def test_threads_share_one_project(project):
    with gemel.load(project) as shop, ThreadPoolExecutor(12) as threads:
        assert list(threads.map(lambda n: ask(shop, n), range(120))) == [ANSWER] * 120


def test_a_project_is_closed_and_asked_again_meanwhile(project):
    with gemel.load(project) as shop, ThreadPoolExecutor(6) as threads:
        asked = [threads.submit(ask, shop, n) for n in range(60)]
        while not all(each.done() for each in asked):
            shop.close()
        assert [each.result() for each in asked] == [ANSWER] * 60


def test_asyncio_asks_from_its_threads(project):
    async def ask_all(shop):
        return await asyncio.gather(*(asyncio.to_thread(ask, shop, n) for n in range(40)))

    # In a thread of its own: Playwright's fixtures leave a running event loop in that of the tests.
    with gemel.load(project) as shop, ThreadPoolExecutor(1) as thread:
        assert thread.submit(asyncio.run, ask_all(shop)).result() == [ANSWER] * 40


def test_threads_share_one_answer_which_runs_once(project):
    with gemel.load(project) as shop, ThreadPoolExecutor(8) as threads:
        answer, barrier = shop.query(["revenue"]), threading.Barrier(8)

        def take(_):
            barrier.wait(10)
            return id(answer.rows()), answer.columns

        assert len(set(threads.map(take, range(8)))) == 1


def test_a_limit_of_the_project_ends_a_query(make_shop):
    with gemel.load(make_shop("{rows: 1}")) as shop:
        assert shop.query(["revenue"]).rows() == [(30,)]
        with pytest.raises(WarehouseError, match="G410 the result has more than 1 rows"):
            shop.query(["revenue"], ["sale__region"]).rows()


def test_a_query_has_a_time_of_its_own(project):
    with gemel.load(project) as shop:
        assert shop.query(["revenue"], timeout="5m").rows() == shop.query(["revenue"], timeout=60).rows() == [(30,)]
        with pytest.raises(QueryError, match="G343 timeout must be a duration such as 30s, 5m or 1h, not 'soon'"):
            shop.query(["revenue"], timeout="soon")


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ("{tme: 30s}", "`tme` is not a limit: did you mean time"),
        ("{time: soon}", "`time` must be a duration such as 30s, 5m or 1h, not 'soon'"),
        ("{time: 0}", "`time` must be a duration"),
        ("{rows: 0}", "`rows` must be a whole number above zero"),
        ("{memory: 12}", "`memory` must be a size of at least 1MB"),
        ("5", "must be an object, not 5"),
    ],
)
def test_a_limit_that_is_none_is_refused_at_its_line(make_shop, limits, message):
    with gemel.load(make_shop(limits)) as shop, pytest.raises(ProjectError) as caught:
        shop.query(["revenue"]).rows()
    assert caught.value.code == "G604" and message in str(caught.value)
    assert str(caught.value.place).endswith("dbt_project.yml:6")


def test_only_the_owner_sees_the_database_s_own_message(project):
    session = open_session(project)
    table = session.manifest.models[0].relation
    sql = f"SELECT CAST(region AS INTEGER) AS n FROM {table.schema}.sales"
    with pytest.raises(WarehouseError, match=r"G407 .*secret n"):
        session.runner.rows(keep_text(sql, session.dialect)).rows()
    guest = Runner(session.runner._warehouse, Principal("guest"))
    for form in ("rows", "arrow", "df"):
        with pytest.raises(WarehouseError) as caught:
            getattr(guest.rows(keep_text(sql, session.dialect)), form)()
        assert str(caught.value).startswith("G407 the database cannot compute the result\n")
        assert caught.value.__cause__ is None and caught.value.__suppress_context__
    with pytest.raises(WarehouseError, match="G405 a table does not exist"):
        guest.describe(keep_text("SELECT * FROM secret_table", session.dialect))
    with pytest.raises(WarehouseError, match="G407 the database cannot compute"):
        list(guest.batches(keep_text(sql, session.dialect)))
    assert guest.rows(keep_text("SELECT 1 AS n", session.dialect)).rows() == [(1,)]
    session.close()


MIDNIGHT = "SELECT CAST(TIMESTAMPTZ '2024-01-02 03:00+00' AS DATE) AS day, TIMESTAMPTZ '2024-01-02' AS midnight"


def read_midnight(runner, folder):
    """A day and a midnight in the zone of the runner's sessions, and in that of its scratches."""
    compiled = keep_text(MIDNIGHT, "duckdb")
    with runner.scratch(folder) as scratch, runner.scratches() as open_one, open_one(folder / "other") as other:
        return [scratch.rows(compiled), other.rows(compiled)]


def test_training_sets_have_the_days_of_the_project_s_time_zone(make_shop, tmp_path):
    session = open_session(make_shop(timezone="America/New_York"))
    expected = [(dt.date(2024, 1, 1), dt.datetime(2024, 1, 2, 5, tzinfo=dt.UTC))]
    assert session.runner.rows(keep_text(MIDNIGHT, session.dialect)).rows() == expected
    assert read_midnight(session.runner, tmp_path) == [expected, expected]
    session.close()


def test_training_sets_from_a_server_have_them_too(tmp_path, needs_postgres):
    with own_schema(needs_postgres, SCHEMA) as schema:
        project = write(tmp_path / "shop", schema.output(), timezone="America/New_York")
        session = open_session(project)
        expected = [(dt.date(2024, 1, 1), dt.datetime(2024, 1, 2, 5, tzinfo=dt.UTC))]
        assert read_midnight(session.runner, tmp_path) == [expected, expected]
        session.close()


def test_only_the_owner_gets_a_database_that_reads_files(make_shop, tmp_path):
    session = open_session(make_shop())
    guest = Runner(session.runner._warehouse, Principal("guest"))
    with pytest.raises(QueryError, match="G344 'guest' can only query metrics"):
        guest.scratch(tmp_path)
    with pytest.raises(QueryError, match="G344"), guest.scratches():
        pass
    session.close()


def test_a_second_build_waits_for_the_first_and_says_so(make_shop):
    lines = []
    root = make_shop("{wait: 300ms}")
    session = open_session(root, say=lines.append)
    (root / "target/gemel").mkdir(exist_ok=True)
    with hold_lock(root / "target/gemel/writing.lock", print, doing="testing"):
        for work in (pipeline.generate, pipeline.build):
            with pytest.raises(ProjectError, match=rf"G609 process {os.getpid()} has been building here for 0\.3 sec"):
                work(session)
    assert lines == [f"process {os.getpid()} is building here; waiting for it to end"] * 2


def test_dbt_waits_for_a_process_that_has_the_file_open(make_shop, monkeypatch):
    lines, attempts = [], []
    session = open_session(make_shop("{wait: 5s}"), say=lines.append)

    def run_dbt(arguments, project_dir):
        attempts.append(arguments[0])
        if len(attempts) < 3:
            raise DatabaseInUseError("build", "Could not set lock on file: Conflicting lock is held (PID 7)")

    monkeypatch.setattr(gemel.dbt.running, "run_dbt", run_dbt)
    pipeline.run_dbt(session, "build")
    assert attempts == ["build"] * 3
    assert lines == ["process 7 holds the database; dbt waits for it to end"]


def test_the_copies_of_feature_tables_can_be_read_in_the_warehouse(make_shop):
    """`gemel verify` compares them there with the tables."""
    root = make_shop()
    (root / "feature_views/data").mkdir(parents=True)
    with duckdb.connect() as con:
        for name in ("feature_views/data/buying.parquet", "secret.parquet"):
            con.execute(f"COPY (SELECT 7 AS n) TO '{root / name}'")
    session = open_session(root)
    read = "SELECT n FROM '{}'".format
    copy = keep_text(read(root / "feature_views/data/buying.parquet"), session.dialect)
    assert session.runner.rows(copy).rows() == [(7,)]
    with pytest.raises(WarehouseError, match="secret"):
        session.runner.rows(keep_text(read(root / "secret.parquet"), session.dialect)).rows()
    session.close()


class Forgetful(dict):
    """What another thread clears after each look at it."""

    def __contains__(self, key):
        return bool(super().__contains__(key)) and not self.clear()

    def get(self, key, default=None):
        value = super().get(key, default)
        self.clear()
        return value


def test_what_is_kept_may_be_forgotten_while_other_threads_use_it(make_shop):
    """Filters of queries are kept up to a number, and columns of tables until the project is closed."""
    with gemel.load(make_shop()) as shop:
        session = shop.session
        session.graph.texts._asked, session.graph.texts._results = Forgetful(), Forgetful()
        session.runner._rounding._columns = Forgetful()
        for _ in range(3):
            answer = shop.query("revenue", where="{{ Dimension('sale__region') }} = 's'", having="revenue > 3")
            assert answer.rows() == [(20,)]
