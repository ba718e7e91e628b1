"""What is online in SQLite has the same times in every time zone, also beside rows that stock Feast wrote."""

import datetime as dt
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from gemel.errors import BridgeError
from gemel.online.local_times import Zone, from_local, last_local, to_local
from worlds.online_place import open_place

pytestmark = pytest.mark.filterwarnings("ignore")  # of Feast

place = pytest.fixture(open_place, params=["sqlite", "redis"])
sqlite_place = pytest.fixture(open_place, params=["sqlite"])

A, B, C = ("a", 1), ("b", 2), ("c", 3)
TOKYO, NEW_YORK = "Asia/Tokyo", "America/New_York"


@contextmanager
def zone(name):
    """This process in another time zone."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TZ", name)
        time.tzset()
        try:
            yield
        finally:
            patched.undo()
            time.tzset()


def utc(text):
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def moments(place, *keys):
    return [row and f"{row.moments['n']:%d %H:%M}" for row in place.answers(*keys)]


CHANGES = [
    *(("a", 1, "2024-03-10 01:30", 1), ("b", 2, "2024-03-10 02:30", 2), ("c", 3, "2024-03-10 03:30", 3)),
    *(("d", 4, "2024-11-03 00:30", 4), ("e", 5, "2024-11-03 01:30", 5), ("f", 6, "2024-11-03 02:30", 6)),
]
"""The hours around both changes of clocks in New York."""

IN_A_PROCESS = """
import json, sys
sys.path[:0] = {path!r}
from pathlib import PosixPath
from gemel.online.config import RedisStore, SqliteStore
from test_local_times import CHANGES, moments, utc
from worlds.online_place import Place
place = Place(PosixPath({folder!r}), {config!r})
{work}
print(json.dumps(moments(place, *(row[:2] for row in CHANGES))))
"""


def in_a_process(place, zone, work):
    """The moments of all entities of CHANGES, after `work`, in a process in that zone."""
    code = IN_A_PROCESS.format(path=sys.path, folder=str(place.folder), config=place.config, work=work)
    environment = os.environ | {"TZ": zone}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_processes_in_all_zones_write_and_read_one_time(place):
    right = [time[8:] for _, _, time, _ in CHANGES]
    place.table(*CHANGES)
    assert in_a_process(place, NEW_YORK, "place.run(utc('2025-01-01'))") == right
    assert in_a_process(place, TOKYO, "") == right
    with zone("Australia/Lord_Howe"):
        place.run(utc("2025-01-02"))
        assert moments(place, *(row[:2] for row in CHANGES)) == right
    assert in_a_process(place, NEW_YORK, "") == right


def test_a_stale_row_is_stale_everywhere(sqlite_place):
    place = sqlite_place
    place.view = place.with_ttl(dt.timedelta(hours=2))
    place.table((*A, "2024-01-31 20:00", 1), (*B, "2024-01-31 23:00", 2))
    for writer in ("UTC", NEW_YORK, TOKYO):
        with zone(writer):
            place.run()
        for reader in (TOKYO, "UTC", NEW_YORK):
            with zone(reader):
                assert [row.stale for row in place.answers(A, B)] == [["n"], []]


def test_a_loader_in_another_zone_corrects_and_removes_what_the_first_one_wrote(place):
    for first, second in ((NEW_YORK, TOKYO), (TOKYO, NEW_YORK)):
        place.table((*A, 3, 1), (*B, 3, 1)).run()
        with zone(first):
            place.table((*A, 3, 30), (*B, 3, 30), (*C, 3, 30)).run()
        with zone(second):
            place.table((*A, 3, 31), (*B, "2024-01-02 23:00", 29)).run()
            assert place.online(A, B, C) == [31, 29, None]
        assert moments(place, A, B) == ["03 00:00", "02 23:00"]


def test_two_hours_of_one_local_time_are_two(sqlite_place):
    # In New York, Feast stores 02:30 and 03:30 of March 10 as the same number.
    place = sqlite_place
    with zone(NEW_YORK):
        assert to_local(micros("2024-03-10 02:30")) == to_local(micros("2024-03-10 03:30"))
        place.table((*A, "2024-03-10 02:30", 1), (*A, "2024-03-10 03:30", 2), (*B, "2024-03-10 02:30", 3))
        place.run(utc("2024-03-10 03:00"))
        assert (place.online(A, B), moments(place, A, B)) == ([1, 3], ["10 02:30", "10 02:30"])
        place.run(utc("2024-03-10 04:00"))
        assert (place.online(A, B), moments(place, A, B)) == ([2, 3], ["10 03:30", "10 02:30"])


def test_what_feast_pushed_in_the_doubled_hour_is_newer_than_ours(sqlite_place):
    import pandas

    place = sqlite_place
    with zone(NEW_YORK):
        place.table((*A, "2024-03-10 02:45", 1), (*B, "2024-03-10 02:45", 1)).run(utc("2024-03-10 03:00"))
        at = utc("2024-03-10 03:15")
        pushed = pandas.DataFrame([{"zone": "a", "area": 1, "event_timestamp": at, "n": 9, "f": 0.5, "s": "later"}])
        place.feast().write_to_online_store("buying", pushed.assign(created_timestamp=at))
        place.run(utc("2024-03-10 03:20"))
        assert (place.online(A, B), moments(place, A)) == ([9, 1], ["10 03:15"])


def test_feast_in_one_zone_reads_what_gemel_wrote_there(sqlite_place):
    place = sqlite_place
    for writer in (TOKYO, NEW_YORK):
        with zone(writer):
            place.table((*A, "2024-01-31 20:00", 1)).run()
            answer = place.feast().get_online_features(["buying:n"], [{"zone": "a", "area": 1}])
            seconds = answer.proto.results[2].event_timestamps[0].seconds
            assert dt.datetime.fromtimestamp(seconds, dt.UTC) == utc("2024-01-31 20:00")


def test_rows_of_feast_are_read_as_feast_reads_them_or_refused_in_another_zone(sqlite_place):
    place = sqlite_place
    with zone(TOKYO):
        feast = place.table((*A, 3, 30), (*B, 3, 30)).feast()
        feast.materialize(utc("1970-01-01"), utc("2024-02-01"))
        assert moments(place, A) == ["03 00:00"]  # nobody noted a zone
    with zone("Japan"):  # another name of the same zone
        place.table((*A, 4, 40), (*B, 4, 40)).run()
        # Feast writes a row of another zone whose stored time is that of ours.
        with zone("UTC"):
            place.table((*A, "2024-01-03 15:00", 50, "2024-01-04 11:00:00"))
            feast.materialize(utc("1970-01-01"), utc("2024-02-01"))
        assert place.online(A, B) == [50, 40]
        assert moments(place, B) == ["04 00:00"]
    for reader in ("UTC", NEW_YORK):
        with zone(reader):
            assert moments(place, B) == ["04 00:00"]
            with pytest.raises(BridgeError) as refused:
                place.answers(A, B)
            assert refused.value.code == "G566"
            assert f"gemel wrote the others in Japan, and this process runs in {reader}" in refused.value.message
    with zone("UTC"):
        place.table((*A, 4, 41)).run()
        assert (place.online(A, B), moments(place, A)) == ([41, None], ["04 00:00"])


def micros(text):
    return int(utc(text).timestamp()) * 1_000_000


@pytest.mark.parametrize("name", ["UTC", TOKYO, NEW_YORK, "Australia/Lord_Howe", "Pacific/Apia"])
def test_the_last_stored_time_is_the_last_that_feast_reads_as_no_later(name):
    changes = ["2024-03-10 02:00", "2024-11-03 01:00", "2024-10-06 02:00", "2024-04-07 01:30", "2011-12-30 12:00"]
    with zone(name):
        for change in changes:
            for minutes in range(-150, 151, 10):
                moment = micros(change) + minutes * 60_000_000
                bound = last_local(moment)
                assert from_local(bound) <= moment
                later = {to_local(moment + ahead * 60_000_000) for ahead in range(0, 1600, 10)}
                assert not {each for each in later if each > bound and from_local(each) <= moment}


def test_zones_are_the_same_by_their_offsets_not_their_names():
    def here(name):
        with zone(name):
            return Zone.of_process()

    assert here("UTC").is_same(here("Etc/GMT")) and here(TOKYO).is_same(here("JST-9"))
    assert not here("Europe/London").is_same(here("UTC"))
    assert not here("America/Havana").is_same(here(NEW_YORK))  # another week of change
    assert Zone.parse(json.loads(json.dumps(here(TOKYO).json()))) == here(TOKYO)
    assert here(TOKYO).name == TOKYO
