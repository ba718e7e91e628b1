"""What we write online is what Feast writes and reads, and what is online is a function of the table and a moment."""

import dataclasses
import datetime as dt
import json
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest

from gemel.errors import BridgeError
from gemel.features.origins import Origin
from gemel.online import encoding
from gemel.online.config import OtherStore, RedisStore, SqliteStore, read_store
from gemel.online.holdings import Holdings
from gemel.online.opening import open_store
from gemel.online.reading import read
from worlds.online_place import END, Place, open_place

pytestmark = pytest.mark.filterwarnings("ignore")  # of Feast, and when its objects are collected

HOSTILE = ["", "a", "ü🦆", "x" * 3000, "*?[a]\\", "a\x00b"]
COLUMNS = {
    "int32": [0, 1, -1, 127, 128, 2**31 - 1, -(2**31), None],
    "int64": [0, 300, -5, 2**53 + 1, 2**63 - 1, -(2**63), None],
    "float64": [0.0, -0.0, 1.5, 0.1, float("inf"), float("nan"), None],
    "float32": [0.0, 0.5, -2.25, 0.10000000149011612, None],
    "string": [*HOSTILE, None],
    "bool": [True, False, None],
    "timestamp": [0, 1_700_000_000_999_999, -1, None],
}
FIELDS = {
    **{"int32": "int32_val", "int64": "int64_val", "float64": "double_val", "float32": "float_val"},
    **{"string": "string_val", "bool": "bool_val", "timestamp": "unix_timestamp_val"},
}


@pytest.mark.parametrize("type_", COLUMNS)
def test_values_are_the_bytes_of_feast_and_come_back(type_):
    from feast.infra.online_stores.helpers import extract_text_and_num
    from feast.protos.feast.types.Value_pb2 import Value

    column = COLUMNS[type_]
    expected = [value // 1_000_000 if type_ == "timestamp" and value is not None else value for value in column]
    feasts = [Value() if value is None else Value(**{FIELDS[type_]: value}) for value in expected]
    ours = encoding.encode_values(type_, column)
    assert ours == [value.SerializeToString() for value in feasts]
    assert encoding.value_texts(type_, column) == [extract_text_and_num(value, False)[0] for value in feasts]
    back = [encoding.decode_value(value) for value in ours]
    if type_ == "timestamp":
        back = [value if value is None else int(value.timestamp()) for value in back]
    assert list(map(repr, back)) == list(map(repr, expected))


def test_keys_and_moments_are_the_bytes_of_feast():
    from feast.infra.key_encoding_utils import serialize_entity_key
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value
    from google.protobuf.timestamp_pb2 import Timestamp

    texts, numbers = HOSTILE, [0, -1, 5, -(2**63), 2**63 - 1, 7]
    ours = encoding.encode_keys({"zone": "string", "area": "int64"}, [texts, numbers])
    for key, text, number in zip(ours, texts, numbers, strict=True):
        values = [Value(string_val=text), Value(int64_val=number)]
        assert key == serialize_entity_key(EntityKey(join_keys=["zone", "area"], entity_values=values), 3)
        assert encoding.split_key(key + b"shop", 2) == len(key)
    assert encoding.encode_keys({"k": "int32"}, [[-3]]) == [
        serialize_entity_key(EntityKey(join_keys=["k"], entity_values=[Value(int32_val=-3)]), 3)
    ]
    for moment in (0, 1_000_000, 1_700_000_000_123_456, -1_500_000):
        stamp = Timestamp()
        stamp.FromMicroseconds(moment)
        assert encoding.encode_moments([moment]) == [stamp.SerializeToString()]
        assert encoding.decode_moment(stamp.SerializeToString()) == moment


place = pytest.fixture(open_place, params=["sqlite", "redis"])

A, B, C = ("a", 1), ("ü*?[x]", -2), ("", 3)


def test_the_newest_row_is_online_and_of_one_moment_the_one_made_later(place):
    place.table((*A, 1, 10), (*A, 3, 30), (*A, 2, 20), (*B, 5, 50, 6), (*B, 5, 51, 7)).run()
    assert place.online(A, B, C) == [30, 51, None]


def test_corrections_late_rows_and_deletions_are_found(place):
    place.table((*A, 3, 30), (*B, 3, 1), (*C, 3, 1)).run()
    place.table((*A, 3, 31, 9), (*B, 2, 2), (*B, 3, 1), (*B, 4, 4)).run()
    assert place.online(A, B, C) == [31, 4, None]
    place.table((*A, 2, 2)).run()  # what was newer was a mistake
    assert place.online(A, B) == [2, None]


def test_time_does_not_go_back(place):
    place.table((*A, 3, 30), (*A, 9, 90)).run(dt.datetime(2024, 1, 10, tzinfo=dt.UTC))
    assert place.run(dt.datetime(2024, 1, 4, tzinfo=dt.UTC)) == dt.datetime(2024, 1, 10, tzinfo=dt.UTC)
    assert place.online(A) == [90]


def test_a_table_without_rows_empties_what_was_ours(place):
    place.table((*A, 3, 30)).run()
    place.table().run()
    assert place.online(A) == [None]


def _keep(store, config, state):
    """What was written since was then written by somebody else."""
    if isinstance(config, SqliteStore):
        with sqlite3.connect(config.path) as con:
            con.execute("update gemel_materialized set state = ?", [state.text()])
        con.close()
    else:
        store._keep("buying", state)


def test_what_somebody_pushed_later_stays(place):
    place.table((*A, 3, 30), (*B, 3, 30)).run()
    pushed = Place(place.folder, place.config).table((*A, 20, 99), (*B, 3, 30))
    store = open_store(place.config)
    before = store.state("buying")
    pushed.run()
    _keep(store, place.config, before)
    store.close()
    place.table((*B, 4, 40)).run()
    assert place.online(A, B) == [99, 40]


def test_another_target_replaces_all_that_the_one_before_brought_online(place):
    dev, prod = (Origin(name, f'"shop"."{name}"."buying"') for name in ("dev", "prod"))
    place.view = dataclasses.replace(place.view, origin=dev)
    place.table((*A, 20, 1), (*B, 20, 1)).run()
    place.view = dataclasses.replace(place.view, origin=prod)
    place.table((*B, 3, 2)).run(dt.datetime(2024, 1, 10, tzinfo=dt.UTC))  # older than all of dev's
    assert place.online(A, B) == [None, 2]
    store = open_store(place.config)
    assert store.state("buying").origin == prod
    store.close()
    # What is newer than prod's own was pushed since, as before.
    pushed = Place(place.folder, place.config).table((*A, 20, 99))
    pushed.view = dataclasses.replace(pushed.view, origin=prod)
    store = open_store(place.config)
    began = store.state("buying")
    pushed.run()
    _keep(store, place.config, began)
    store.close()
    place.table((*B, 4, 3)).run()
    assert place.online(A, B) == [99, 3]


def test_a_row_with_a_null_key_is_none_and_the_others_are_answered(place):
    import numpy
    import pandas

    place.table((*A, 1, 10), (*B, 5, 50), (*C, 6, 60)).run()
    keys = [A, (None, 1), ("a", None), B, (None, None), ("a", pandas.NA), ("a", float("nan")), ("a", ""), ("", "3")]
    assert place.online(*keys) == [10, None, None, 50, None, None, None, None, 60]
    assert place.online((None, 1), ("a", None)) == [None, None]
    assert place.online(("a", numpy.int64(1)), (pandas.NaT, 1)) == [10, None]
    for wrong in (1.0, True, b"1", "x"):
        with pytest.raises(BridgeError, match="must be an integer"):
            place.online(A, ("a", wrong))


def test_entities_that_were_not_looked_up_are_found_by_a_scan(place, monkeypatch):
    monkeypatch.setattr("gemel.online.sqlite.LISTED", 2)
    monkeypatch.setattr("gemel.online.redis.SCANNED", 2)
    rows = [(text, number, 3, number) for number, text in enumerate([*HOSTILE, "b", "c", "d"], -2)]
    place.table(*rows).run()
    as_rows = [dict(zip(("zone", "area"), row, strict=False)) for row in rows]
    store = open_store(place.config)
    holdings = Holdings(store, place.view, ["n"])
    assert [row.values["n"] for row in holdings.find(as_rows[:3])] == [-2, -1, 0]
    holdings.skip(as_rows[3:4])
    others = list(holdings.others())
    assert sorted(((each["zone"], each["area"]), row.values["n"]) for each, row in others) == sorted(
        ((zone, area), n) for zone, area, _, n in rows[4:]
    )
    assert list(holdings.others()) == []  # they have been seen
    store.close()


def test_keys_that_are_none_of_a_views_entities_are_no_entities():
    types = {"zone": "string", "area": "int64"}
    for zone, area in zip(HOSTILE, (0, -1, 2**63 - 1, -(2**63), 7, 256), strict=True):
        [key] = encoding.encode_keys(types, [[zone], [area]])
        assert encoding.decode_key(key, types) == {"zone": zone, "area": area}
        for wrong in (key[:-1], key + b"x", b"", key[:9], key.replace(b"zone", b"zona")):
            assert encoding.decode_key(wrong, types) is None
        assert encoding.decode_key(key, {"zone": "string", "area": "int32"}) is None


def test_hostile_keys_are_answered_or_refused(place):
    place.table((*A, 1, 10), ("ü🦆", 2**63 - 1, 2, 20), ("e\u0301", 1, 3, 30)).run()
    keys = [
        ("ü🦆", str(2**63 - 1)),
        ("é", 1),
        ("e\u0301", "+1"),
        ("a' OR '1'='1", 1),
        ("a\x00", 1),
        ("x" * 1_000_000, 1),
    ]
    assert place.online(*keys) == [20, None, 30, None, None, None]
    assert place.online() == []
    assert place.online(*[A] * 1_201) == [10] * 1_201
    refused = [
        *(("\ud800", 1), ("\udcff", 1), (b"a", 1), (["a"], 1), (1, 1)),
        *(("a", 2**63), ("a", 10**5000), ("a", "9" * 5000), ("a", "\u0661"), ("a", " 1"), ("a", 1.5), ("a", b"1")),
    ]
    for wrong in refused:
        with pytest.raises(BridgeError) as caught:
            place.online(A, wrong)
        assert (caught.value.code, len(str(caught.value)) < 300) == ("G535", True)


@pytest.mark.parametrize(
    "encoded", [b"\x08", b"\x08\xff", b"\x08" + b"\xff" * 9 + b"\x01", b"\x08" + b"\xff" * 8 + b"\x01"]
)
def test_times_that_nobody_can_mean_are_refused(encoded):
    if encoding.varint(-1) in encoded:  # a second before 1970
        assert encoding.decode_moment(encoded) == -1_000_000
        return
    with pytest.raises(BridgeError) as caught:
        encoding.decode_moment(encoded)
    assert caught.value.code == "G563"


def test_who_reads_while_another_loads_sees_whole_rows(place):
    """Of each entity all features of one row, the old one or the new one, and no entity disappears."""
    keys = [{"zone": "z", "area": number} for number in range(400)]
    place.table(*(("z", number, 2, 1) for number in range(400))).run()
    loader = threading.Thread(target=place.table(*(("z", number, 3, 2) for number in range(400))).run)
    loader.start()
    seen = set()
    while loader.is_alive() or 2 not in seen:
        store = open_store(place.config)
        rows = read(store, [(place.view, ["n", "f", "s"])], keys, now=END)
        store.close()
        for row in rows:
            n = row.values["n"]
            seen.add(n)
            assert row.values == {"n": n, "f": n / 4, "s": f"s{n}"}
            assert row.moments["n"] == dt.datetime(2024, 1, n + 1, tzinfo=dt.UTC)
    loader.join()


def test_values_past_their_ttl_are_stale(place):
    place.table((*A, 1, 10), (*B, 31, 31)).run()
    view = place.with_ttl(dt.timedelta(2))
    store = open_store(place.config)
    rows = read(store, [(view, ["n", "s"])], [dict(zip(view.entities, key, strict=True)) for key in (A, B)], now=END)
    store.close()
    assert [row.stale for row in rows] == [["n", "s"], []]
    assert rows[0].moments["n"] == dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


KILLED = """
import os, signal, sys
sys.path[:0] = {path!r}
from test_online import *
import gemel.online.newest as newest
newest.BATCH = 100
place = Place(Path({folder!r}), {config!r})
calls, batches = 0, newest._batches
def killing(*args):
    for number, batch in enumerate(batches(*args)):
        if number == {at}:
            os.kill(os.getpid(), signal.SIGKILL)
        yield batch
    if {at} == -1:
        os.kill(os.getpid(), signal.SIGKILL)
newest._batches = killing
import gemel.online.sqlite as sqlite
sqlite.COMMITTED = 100
place.run()
"""


@pytest.mark.parametrize("at", [0, 3, -1])
def test_killed_and_run_again_it_comes_to_the_same(place, at):
    old = [("z", number, 2, number) for number in range(0, 700)]
    new = [("z", number, 3, number + 1) for number in range(300, 1000)]
    place.table(*old).run()
    place.table(*new)
    code = "from pathlib import Path\n" + KILLED.format(
        path=sys.path, folder=str(place.folder), config=place.config, at=at
    ).replace("PosixPath", "Path")
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    place.run()
    keys = [("z", number) for number in range(1000)]
    assert place.online(*keys) == [None] * 300 + [number + 1 for number in range(300, 1000)]


def test_two_at_once_take_turns(place):
    place.table(*(("z", number, 3, number) for number in range(3000)))
    failed = []

    def run():
        try:
            place.run()
        except Exception as error:
            failed.append(error)

    both = [threading.Thread(target=run) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert not failed
    assert place.online(*(("z", number) for number in range(3000))) == list(range(3000))


def test_feast_reads_what_we_wrote_and_we_read_what_feast_wrote(place):
    import pandas

    rows = [(*A, 3, 30), (*B, 4, 2**53 + 1), (*C, 5, -7)]
    place.table(*rows).run()
    store = place.feast()
    entities = [{"zone": zone, "area": area} for zone, area in (A, B, C, ("gone", 1))]
    answers = store.get_online_features([f"buying:{name}" for name in "nfs"], entities).to_dict()
    assert answers["n"] == [30, 2**53 + 1, -7, None]
    assert answers["f"] == [7.5, (2**53 + 1) / 4, -1.75, None]
    assert answers["s"] == ["s30", f"s{2**53 + 1}", "s-7", None]

    later = pandas.DataFrame([{"zone": "a", "area": 1, "event_timestamp": END, "n": 5, "f": 0.5, "s": "fünf"}])
    store.write_to_online_store("buying", later.assign(created_timestamp=END))
    ours = open_store(place.config)
    [row] = read(ours, [(place.view, ["n", "f", "s"])], [{"zone": "a", "area": 1}])
    ours.close()
    assert (row.values, row.moments["n"]) == ({"n": 5, "f": 0.5, "s": "fünf"}, END)


def config(tmp_path, text):
    (tmp_path / "feature_store.yaml").write_text(text)
    return read_store(tmp_path)


def test_what_we_know_of_a_store_is_ours_and_all_else_is_feasts(tmp_path, monkeypatch):
    monkeypatch.setenv("WHERE", "cache:6380,db=2,password=12")
    assert config(tmp_path, "project: p\nonline_store: {type: sqlite, path: data/o.db}") == SqliteStore(
        "p", tmp_path / "data/o.db"
    )
    assert config(
        tmp_path, "project: p\nonline_store: {type: redis, connection_string: '${WHERE}', key_ttl_seconds: 60}"
    ) == RedisStore("p", {"db": 2, "password": 12, "host": "cache", "port": 6380}, key_ttl=60)
    for text, why in {
        "online_store: {type: postgres}": "the online store is 'postgres'",
        "online_store: {type: redis, redis_type: redis_cluster}": "the Redis store has `redis_type: redis_cluster`",
        "online_store: {type: sqlite, vector_enabled: true}": "the SQLite store has `vector_enabled: True`",
        "online_store: {type: remote, path: 'http://here'}": "the online store is 'remote'",
        "online_store: null": "there is no online store",
        "online_store: none": "there is no online store",
        "provider: chronon": "the provider is 'chronon'",
        "registry: {path: r.db, enable_online_feature_view_versioning: true}": "the online tables are versioned "
        "(`enable_online_feature_view_versioning`)",
        "entity_key_serialization_version: 2": "the keys are not of version 3 (`entity_key_serialization_version`)",
    }.items():
        assert config(tmp_path, f"project: p\n{text}") == OtherStore(why)


# Of the settings that Feast has, with a value that is not the default.
WITHOUT_MEANING_ONLINE = {
    "project_description": "A shop",
    "provider": "gcp",
    "registry": {"registry_type": "remote", "path": "here:6570", "cache_ttl_seconds": 5},
    "auth": {"type": "oidc", "client_id": "shop", "auth_discovery_url": "http://here"},
    "offline_store": {"type": "duckdb"},
    "batch_engine": {"type": "spark.engine"},
    "feature_server": {"type": "local", "enabled": True},
    "embedding_model": {"model": "all-MiniLM-L6-v2"},
    "flags": {"alpha_features": True},
    "repo_path": "elsewhere",
    "coerce_tz_aware": False,
    "materialization": {"pull_latest_features": True, "online_write_batch_size": 10},
    "openlineage": {"enabled": True, "transport_type": "console"},
    "mlflow": {"enabled": True},
    "data_quality_monitoring": {"auto_baseline": False},
    "a_setting_of_tomorrow": 1,
}


def test_a_setting_that_changes_no_row_leaves_the_store_to_us(tmp_path):
    from feast.repo_config import RepoConfig

    settings = {field.alias or name for name, field in RepoConfig.model_fields.items()}
    assert settings - {*WITHOUT_MEANING_ONLINE} == {"project", "online_store", "entity_key_serialization_version"}
    alone = [{name: value} for name, value in WITHOUT_MEANING_ONLINE.items()]
    for given in [*alone, WITHOUT_MEANING_ONLINE]:
        text = json.dumps({"project": "p", "online_store": {"type": "sqlite", "path": "o.db"}, **given})
        assert config(tmp_path, text) == SqliteStore("p", tmp_path / "o.db"), given
    for harmless in ("client: glide", "skip_dedup: true", "sentinel_master: m"):
        assert isinstance(config(tmp_path, f"project: p\nonline_store: {{type: redis, {harmless}}}"), RedisStore)


@pytest.mark.parametrize(
    "text", ["a: [", "- p", "online_store: {}", "project: p\nonline_store: {type: redis, connection_string: here}"]
)
def test_a_feature_store_yaml_that_cannot_be_meant_is_refused(tmp_path, text):
    with pytest.raises(BridgeError) as refused:
        config(tmp_path, text)
    assert refused.value.code == "G560"


def test_a_store_that_cannot_be_used_is_reported(tmp_path):
    (tmp_path / "online.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(BridgeError) as refused:
        Place(tmp_path, SqliteStore("p", tmp_path / "online.db")).table((*A, 1, 1)).run()
    assert refused.value.code == "G561"
    with pytest.raises(BridgeError) as refused:
        Place(tmp_path, RedisStore("p", {"host": "127.0.0.1", "port": 1})).run()
    assert refused.value.code == "G562"
    with pytest.raises(BridgeError) as refused:
        encoding.decode_value(b"\xff\x01")
    assert refused.value.code == "G563"
