"""Bounds of time: an instant where they have an offset, otherwise a time on the clocks of the project's zone."""

import datetime as dt
from contextlib import closing
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gemel
from gemel.compiler.compiled import Context, compile_query
from gemel.compiler.names.graph import bind
from gemel.compiler.question import bounds
from gemel.compiler.question.parsing import make_query
from gemel.compiler.question.query import Query
from gemel.engines.connections import duckdb as duck
from gemel.engines.connections.files import Profile
from gemel.engines.connections.postgres import Server
from gemel.engines.connections.postgres import Warehouse as Postgres
from gemel.errors import ProjectError, QueryError, WarehouseError
from gemel.run import Runner
from gemel.session import Session
from gemel.spec.manifest import Dimension, Manifest, SemanticModel
from gemel.spec.manifest import Relation as Table
from gemel.spec.metrics import Measure, Metric, Simple
from properties.asking import plain
from reference import evaluate
from worlds.drawn import filled
from worlds.postgres import in_schema, own_name, own_schema

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]
GRAINS = ["minute", "hour", "day", "month"]


def counted(table):
    """Facts of a table, counted by their time `seen_at`."""
    model = SemanticModel(table, Table(table), table, (), (Dimension("seen_at", "seen_at", grain="minute"),), "seen_at")
    return model, Metric(f"{table}_count", Simple(Measure(f"{table}_count", table, "count", "1", "seen_at")))


# `zoned.seen_at` is a TIMESTAMPTZ, and `local.seen_at` a TIMESTAMP, of the same moments on the project's clocks.
MANIFEST = Manifest(*zip(*map(counted, ("zoned", "local")), strict=True))

# Around midnights of all zones, and where clocks move forward; not in the hour that they show twice.
FIRST = dt.datetime(2024, 3, 30, 12, tzinfo=dt.UTC)
instants = st.integers(0, 4 * 72).map(lambda n: FIRST + n * dt.timedelta(minutes=15)) | st.sampled_from(
    [dt.datetime(2024, month, day, hour, tzinfo=dt.UTC) for month, day, hour in [(3, 10, 7), (5, 31, 22), (6, 1, 4)]]
)
offsets = st.sampled_from([-300, 0, 60, 120, 330]).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))
written = st.tuples(instants, st.none() | offsets, st.sampled_from(["text", "value"])) | st.none()


@st.composite
def questions(draw):
    grain = draw(st.sampled_from([None, *GRAINS]))
    metrics = draw(st.sampled_from([("zoned_count",), ("local_count",), ("zoned_count", "local_count")]))
    limits = [draw(written), draw(written)]
    if None not in limits:
        limits.sort(key=lambda bound: bound[0])
    return metrics, (f"metric_time__{grain}",) if grain else (), *limits


def shown(instant, zone):
    return instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def spelled(bound, zone):
    """A bound as a user writes it, on the clocks of some offset, or without one on those of the zone."""
    if bound is None:
        return None
    instant, offset, form = bound
    moment = instant.astimezone(offset) if offset else shown(instant, zone)
    return moment.isoformat() if form == "text" else moment


def by_definition(question, zone, moments):
    metrics, items, start, end = question
    limits = {"start": start and shown(start[0], zone), "end": end and shown(end[0], zone)}
    query = make_query(metrics, items)
    asked = Query(metrics=query.metrics, group_by=query.group_by, **limits)
    rows = [{"seen_at": shown(moment, zone)} for moment in moments]
    return evaluate(MANIFEST, {"zoned": rows, "local": rows}, asked)[1]


def by_sql(question, zone, warehouse, manifest=MANIFEST):
    metrics, items, start, end = question
    warehouse.timezone = zone
    graph = bind(manifest, warehouse.dialect, timezone=zone)
    query = make_query(metrics, items, start=spelled(start, zone), end=spelled(end, zone), timezone=zone)
    rows = Runner(warehouse).rows(compile_query(graph, query, Context.naming(warehouse.dialect))).rows()
    return [
        tuple(shown(each, zone) if isinstance(each, dt.datetime) and each.tzinfo else each for each in row)
        for row in rows
    ]


def midnight(value):
    """A day as its first moment, which some engines give and others do not."""
    is_day = isinstance(value, dt.date) and not isinstance(value, dt.datetime)
    return dt.datetime.combine(value, dt.time.min) if is_day else plain(value)


def assert_same(question, zone, moments, warehouse, manifest=MANIFEST):
    found, expected = by_sql(question, zone, warehouse, manifest), by_definition(question, zone, moments)
    assert sorted(tuple(map(midnight, row)) for row in found) == sorted(tuple(map(midnight, row)) for row in expected)


def tables(zone, moments):
    return filled(
        {
            "zoned": [{"seen_at": str(moment)} for moment in moments],
            "local": [{"seen_at": str(shown(moment, zone))} for moment in moments],
        }
    )


CREATE = "create table {}zoned (seen_at timestamptz); create table {}local (seen_at timestamp)"
LENT = duckdb.connect(config={"threads": 1})
LENT.execute(CREATE.format("", ""))


@given(
    question=questions(),
    zone=st.sampled_from(ZONES),
    machine=st.sampled_from(ZONES),
    moments=st.lists(instants, min_size=1, max_size=12),
)
def test_a_bound_means_the_same_in_a_session_of_any_zone(question, zone, machine, moments):
    LENT.execute(f"set global TimeZone = '{machine}'; {tables(zone, moments)}")
    warehouse = duck.Warehouse(Profile("", "", path=":memory:", database="memory"), LENT)
    assert_same(question, zone, moments, warehouse)


@pytest.fixture(scope="module")
def postgres(needs_postgres):
    with own_schema(needs_postgres, own_name("bounds")) as schema:
        schema.connection.execute(CREATE.format(f"{schema.name}.", f"{schema.name}."))
        schema.connection.execute(f"set search_path = {schema.name}")
        yield schema


@given(question=questions(), zone=st.sampled_from(ZONES), moments=st.lists(instants, min_size=1, max_size=12))
def test_postgres_reads_bounds_in_the_same_way(postgres, question, zone, moments):
    postgres.connection.execute(tables(zone, moments))
    with closing(Postgres(Server(postgres.connection.info.dbname, postgres.options))) as warehouse:
        assert_same(question, zone, moments, warehouse, in_schema(MANIFEST, postgres.name))


# --- filters ---------------------------------------------------------------------------------------------------


@st.composite
def filters(draw):
    """A filter on the time of one of the tables: by an instant as a user may write it, in a comparison."""
    instant, offset = draw(instants), draw(offsets)
    text = draw(st.sampled_from([lambda at: at.isoformat(), str, lambda at: at.isoformat().replace("+00:00", "Z")]))
    shape = draw(st.sampled_from(["{ref} >= {at}", "{at} <= {ref}", "({ref}) between {at} and '2025-01-01'"]))
    return draw(st.sampled_from(["zoned", "local"])), instant, text(instant.astimezone(offset)), shape


def assert_filtered(question, zone, moments, warehouse, manifest=MANIFEST):
    table, instant, written, shape = question
    reference = "{{ TimeDimension('metric_time', 'minute') }}"
    where = shape.format(ref=reference, at=f"'{written}'")
    warehouse.timezone = zone
    graph = bind(manifest, warehouse.dialect, timezone=zone)
    query = make_query([f"{table}_count"], where=[where])
    compiled = compile_query(graph, query, Context.naming(warehouse.dialect))
    [(found,)] = Runner(warehouse).rows(compiled).rows()
    assert (found or 0) == sum(shown(moment, zone) >= shown(instant, zone) for moment in moments)


@given(question=filters(), zone=st.sampled_from(ZONES), moments=st.lists(instants, min_size=1, max_size=12))
def test_a_time_with_an_offset_in_a_filter_is_that_instant(question, zone, moments):
    LENT.execute(tables(zone, moments))
    assert_filtered(question, zone, moments, duck.Warehouse(Profile("", "", path=":memory:", database="memory"), LENT))


@given(question=filters(), zone=st.sampled_from(ZONES), moments=st.lists(instants, min_size=1, max_size=12))
def test_so_it_is_in_postgres(postgres, question, zone, moments):
    postgres.connection.execute(tables(zone, moments))
    with closing(Postgres(Server(postgres.connection.info.dbname, postgres.options))) as warehouse:
        assert_filtered(question, zone, moments, warehouse, in_schema(MANIFEST, postgres.name))


def test_a_text_that_is_compared_with_a_text_stays_as_it_is():
    dimensions = (Dimension("seen_at", "seen_at", grain="minute"), Dimension("note", "note"))
    model = SemanticModel("local", Table("local"), "local", (), dimensions, "seen_at")
    graph = bind(Manifest((model,), (MANIFEST.metrics[1],)), timezone="Asia/Kolkata")
    query = make_query(["local_count"], where=["{{ Dimension('local__note') }} = '2024-03-31T01:00+02:00'"])
    assert "'2024-03-31T01:00+02:00'" in compile_query(graph, query, Context.naming("duckdb")).sql
    query = make_query(
        group_by=["local__seen_at"], where=["{{ Dimension('local__seen_at') }} = '2024-03-31T01:00+02:00'"]
    )
    assert "'2024-03-31 04:30:00'" in compile_query(graph, query, Context.naming("duckdb")).sql


# --- one question from start to end ---------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path):
    """A project in a zone, over a connection that is in another one: orders at 22:30 and 23:30 UTC, and on April 1."""

    def opened(zone=None, lock=False):
        named = f"vars:\n  gemel:\n    timezone: {zone}\n" if zone else ""
        (tmp_path / "dbt_project.yml").write_text(f"name: shop\nprofile: shop\n{named}")
        connection = duckdb.connect()
        connection.execute("set global TimeZone = 'Asia/Tokyo'")
        connection.execute("create table zoned (seen_at timestamptz)")
        times = "('2024-03-30 22:30+00'), ('2024-03-30 23:30+00'), ('2024-03-31 22:30+00')"
        connection.execute(f"insert into zoned values {times}")
        connection.execute(f"set lock_configuration = {str(lock).lower()}")
        return gemel.Project(Session(MANIFEST, tmp_path, database=connection))

    return opened


@pytest.mark.parametrize(
    ("zone", "start", "end", "count"),
    [
        (None, "2024-03-31T00:15+01:00", None, 3),  # widened to the whole day, which is March 30 in UTC
        (None, "2024-03-31", "2024-03-31", 1),
        (None, None, "2024-03", 3),
        ("Europe/Berlin", "2024-03-31T00:15+01:00", None, 2),
        ("Europe/Berlin", "2024-03-31", "2024-03-31", 1),
        ("Europe/Berlin", None, "2024-03", 2),  # 22:30 UTC is April in Berlin, where clocks moved forward
        ("America/New_York", "2024-03-31", "2024-03-31", 1),
        ("America/New_York", "2024-03-30", "2024-03-30", 2),
    ],
)
def test_a_day_is_one_on_the_clocks_of_the_project(project, zone, start, end, count):
    shop = project(zone)
    assert shop.query(["zoned_count"], start_time=start, end_time=end).rows() == [(count,)]


def test_days_of_results_are_those_of_bounds(project):
    rows = project("Europe/Berlin").query(["zoned_count"], ["metric_time__day"], start_time="2024-03-31").rows()
    assert sorted((f"{day:%Y-%m-%d %H:%M %z}", n) for day, n in rows) == [
        ("2024-03-31 00:00 +0100", 1),
        ("2024-04-01 00:00 +0200", 1),
    ]


def test_a_zone_that_is_none_is_refused_at_its_line(project):
    with pytest.raises(ProjectError) as caught:
        project("Europe/Bonn").query(["zoned_count"])
    assert (caught.value.code, caught.value.place.line) == ("G604", 5)


def test_a_connection_that_is_locked_in_another_zone_is_refused(project):
    with pytest.raises(WarehouseError, match=r"G404 .* locked in time zone Asia/Tokyo"):
        project(lock=True).query(["zoned_count"]).rows()
    assert project("Asia/Tokyo", lock=True).query(["zoned_count"]).rows() == [(3,)]


def test_an_instant_in_the_hour_that_clocks_show_twice_is_refused():
    for offset in ("+01:00", "+02:00"):
        with pytest.raises(QueryError, match=r"G302 .* Europe/Berlin show twice"):
            bounds.first_moment(f"2024-10-27T02:30{offset}", timezone="Europe/Berlin")
    assert bounds.first_moment("2024-10-27T02:30+01:00") == dt.datetime(2024, 10, 27, 1, 30)
