"""How far views are online is in Feast's registry after our materialization as after Feast's own."""

import datetime as dt
import os

import duckdb
import pytest

from gemel.errors import BridgeError
from gemel.online.config import OtherRegistry, RegistryFile, SqliteStore, read_registry
from gemel.online.loader import materialize
from gemel.online.newest import OnlineView
from gemel.online.opening import open_intervals, open_store
from gemel.online.store import State

pytestmark = pytest.mark.filterwarnings("ignore")  # of Feast, and when its objects are collected

BEGINNING = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def january(day):
    return dt.datetime(2024, 1, day, tzinfo=dt.UTC)


class Repo:
    """A Feast repository with two views of one table, in a registry of some kind."""

    def __init__(self, folder, registry):
        self.folder = folder
        self.file = folder / "buying.parquet"
        self.stores = []
        (folder / "feature_store.yaml").write_text(
            f"project: shop\nregistry: {registry}\nonline_store: {{type: sqlite, path: online.db}}\n"
            "offline_store: {type: gemel.feast.DuckDBOfflineStore}\nentity_key_serialization_version: 3\n"
        )
        self.view = OnlineView("buying", {"zone": "string"}, {"n": "int64"}, self.file)
        self.intervals = open_intervals(read_registry(folder), folder)

    def feast(self):
        from feast import FeatureStore

        self.stores.append(FeatureStore(repo_path=str(self.folder)))
        return self.stores[-1]

    def close(self):
        """Feast leaves its connections to a database open."""
        for store in self.stores:
            if hasattr(store.registry, "write_engine"):
                store.registry.write_engine.dispose()

    def apply(self, description="before"):
        from feast import Entity, FeatureView, Field, FileSource, ValueType
        from feast.types import Int64, String

        times = {"timestamp_field": "event_timestamp", "created_timestamp_column": "created_timestamp"}
        zone = Entity(name="zone", join_keys=["zone"], value_type=ValueType.STRING)
        schema = [Field(name="zone", dtype=String), Field(name="n", dtype=Int64)]
        views = [
            FeatureView(
                name=name,
                entities=[zone],
                schema=schema,
                description=description,
                source=FileSource(path=str(self.file), name=f"{name}_source", **times),
            )
            for name in ("buying", "others")
        ]
        self.feast().apply([zone, *views])

    def applied(self):
        return self.feast().get_feature_view("buying")

    def table(self, *rows, built):
        """(zone, day of January, n), built on a day of January."""
        values = ", ".join(f"('{zone}', timestamp '2024-01-{day:02}', {n}::bigint)" for zone, day, n in rows)
        rows = f"(values {values}) as rows (zone, event_timestamp, n)" if rows else "unreal"
        unreal = "with unreal as (select '' as zone, now()::timestamp as event_timestamp, 0::bigint as n limit 0)"
        created = f"timestamp '2024-01-{built:02}' as created_timestamp"
        duckdb.sql(f"copy ({unreal} select *, {created} from {rows}) to '{self.file}'")

    def load(self, end, view=None, say=lambda line: None):
        store = open_store(SqliteStore("shop", self.folder / "online.db"))
        try:
            materialize(store, [view or self.view], end=end, folder=self.folder, intervals=self.intervals, say=say)
        finally:
            store.close()

    def served(self, *zones):
        answer = self.feast().get_online_features(["buying:n"], [{"zone": zone} for zone in zones])
        return answer.to_dict()["n"]


@pytest.fixture(params=["file", "sqlite", "postgres"])
def repo(request, tmp_path):
    if request.param == "file":
        yield Repo(tmp_path, "registry.db")
    elif request.param == "sqlite":
        yield Repo(tmp_path, f"{{registry_type: sql, path: 'sqlite:///{tmp_path}/registry.db'}}")
    else:
        import psycopg

        server = request.getfixturevalue("needs_postgres")
        name = f"gemel_registry_{os.getpid()}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"create database {name}")
        url = server.rsplit("/", 1)[0] + f"/{name}"
        repo = Repo(tmp_path, f"{{registry_type: sql, path: '{url}'}}")
        yield repo
        repo.close()
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"drop database {name} with (force)")


def test_feast_goes_on_where_we_ended(repo):
    assert repo.intervals.until() == {} and not repo.intervals.record("buying", january(3))  # nothing is applied
    repo.apply()
    assert repo.intervals.until() == {"buying": None, "others": None}

    repo.table(("a", 2, 2), ("b", 2, 2), built=5)
    repo.load(january(4))
    view = repo.applied()
    assert (view.materialization_intervals, view.state.name) == ([(BEGINNING, january(4))], "AVAILABLE_ONLINE")
    assert view.last_updated_timestamp.date() == dt.datetime.now(dt.UTC).date()
    assert repo.intervals.until() == {"buying": january(4), "others": None}
    repo.load(january(5))  # with nothing new
    repo.apply("after")
    view = repo.applied()
    assert (view.description, view.materialization_intervals) == ("after", [(BEGINNING, january(5))])

    repo.table(("a", 2, 2), ("b", 2, 2), ("a", 6, 6), ("c", 6, 6), built=8)
    repo.feast().materialize_incremental(january(7), ["buying"])
    assert repo.applied().materialization_intervals == [(BEGINNING, january(5)), (january(5), january(7))]
    assert repo.served("a", "b", "c") == [6, 2, 6]
    assert repo.intervals.until()["buying"] == january(7)

    repo.table(("a", 2, 2), ("a", 6, 66), ("c", 6, 6), ("c", 8, 8), built=9)  # corrected, deleted, new
    repo.load(january(8))
    assert repo.served("a", "b", "c") == [66, None, 8]
    assert repo.applied().materialization_intervals == [(BEGINNING, january(8))]


@pytest.fixture
def file(tmp_path):
    repo = Repo(tmp_path, "registry.db")
    repo.apply()
    return repo


def test_what_dbt_builds_later_is_new_to_feast_whatever_moment_was_asked_for(file):
    file.table(("a", 2, 2), built=3)
    file.load(january(9))
    assert file.intervals.until()["buying"] == january(3)
    file.table(("a", 2, 2), ("b", 5, 5), built=9)
    file.feast().materialize_incremental(january(9), ["buying"])
    assert file.served("a", "b") == [2, 5]


def test_of_a_table_without_rows_nothing_is_loaded(file):
    file.table(built=3)
    file.load(january(9))
    assert file.intervals.until()["buying"] == BEGINNING
    file.table(("a", 2, 2), built=9)
    file.feast().materialize_incremental(january(9), ["buying"])
    assert file.served("a") == [2]


class KilledError(BaseException):
    pass


@pytest.mark.parametrize("lost", [False, True])
def test_a_run_that_was_killed_leaves_no_interval_that_it_did_not_load(file, monkeypatch, lost):
    file.table(("a", 2, 2), ("b", 4, 4), built=9)
    file.load(january(3))
    if lost:
        (file.folder / "online.db").unlink()

    def finish(*_):
        raise KilledError

    with monkeypatch.context() as patched, pytest.raises(KilledError):
        patched.setattr(State, "finish", finish)
        file.load(january(9))
    assert file.intervals.until()["buying"] == (None if lost else january(3))


def test_what_feast_left_when_it_was_killed_is_served_after_we_materialized(file):
    from feast import FeatureViewState

    file.table(("a", 2, 2), built=9)
    file.load(january(3))
    view = file.applied()
    view.state = FeatureViewState.MATERIALIZING
    file.feast().registry.apply_feature_view(view, "shop")
    with pytest.raises(ValueError, match="MATERIALIZING"):
        file.served("a")
    file.load(january(3))
    assert file.served("a") == [2]


def test_other_projects_and_views_in_the_registry_stay_as_they_are(file):
    registry = file.folder / "registry.db"
    others = open_intervals(RegistryFile("another", registry), file.folder)
    registry.chmod(0o600)
    before = registry.read_bytes()
    assert not others.record("buying", january(3)) and others.until() == {}
    file.intervals.forget("buying")
    assert registry.read_bytes() == before
    file.intervals.record("buying", january(3))
    file.intervals.record("others", january(4))
    assert registry.stat().st_mode & 0o777 == 0o600
    assert {view.name: view.most_recent_end_time for view in file.feast().list_feature_views()} == {
        "buying": january(3),
        "others": january(4),
    }
    file.intervals.forget("others")
    assert file.intervals.until() == {"buying": january(3), "others": None}


def test_a_view_that_feast_does_not_know_is_named(file):
    file.table(("a", 2, 2), built=9)
    lines = []
    file.load(january(3), OnlineView("new", {"zone": "string"}, {"n": "int64"}, file.file), lines.append)
    assert lines == ["Feast's registry does not have new: run `gemel features apply`"]


def test_a_registry_that_only_feast_can_reach_is_written_by_feast(file):
    theirs = open_intervals(OtherRegistry("s3"), file.folder)
    assert theirs.record("buying", january(3)) and theirs.record("buying", january(3))
    assert not theirs.record("nobody", january(3))
    assert theirs.until() == file.intervals.until() == {"buying": january(3), "others": None}
    assert file.applied().materialization_intervals == [(BEGINNING, january(3))]


def test_a_registry_that_fails_is_reported(tmp_path):
    for path, code in (
        ("sqlite:////nowhere/registry.db", "G530"),
        ("postgresql://127.0.0.1:1/registry", "G530"),
        ("nothing", "G530"),
        ("mysql+nobody://127.0.0.1/registry", "G530"),
    ):
        repo = Repo(tmp_path, f"{{registry_type: sql, path: '{path}'}}")
        with pytest.raises(BridgeError, match="Feast's registry failed") as refused:
            repo.intervals.record("buying", january(3))
        assert refused.value.code == code
    (tmp_path / "registry.db").write_bytes(b"\xff" * 20)
    with pytest.raises(BridgeError, match=r"registry\.db cannot be read"):
        Repo(tmp_path, "registry.db").intervals.until()


def test_a_path_of_a_registry_is_as_feast_takes_it(tmp_path):
    def read(registry):
        (tmp_path / "feature_store.yaml").write_text(f"project: shop\nregistry: {registry}\n")
        return read_registry(tmp_path)

    assert read("data/r.db") == read("{path: data/r.db}") == RegistryFile("shop", tmp_path / "data/r.db")
    assert read("s3://bucket/r.db") == OtherRegistry("s3")
    assert read("{registry_type: remote, path: 'here:6570'}") == OtherRegistry("remote")
    assert read("{registry_type: sql, path: 'sqlite:///data/r.db'}").url == f"sqlite:///{tmp_path}/data/r.db"
    assert read("{registry_type: sql, path: 'postgresql://h/d'}").url == "postgresql+psycopg://h/d"
    with pytest.raises(BridgeError, match="`registry` must be a path"):
        read("[a]")
