"""Stores that stay open between reads: of one thread at a time, and never a store that is no longer there."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from gemel.errors import BridgeError
from gemel.online.config import SqliteStore
from gemel.online.reading import find
from gemel.online.stores import KEPT, Stores
from worlds.online_place import open_place

place = pytest.fixture(open_place, params=["sqlite", "redis"])

A, B, C = ("a", 1), ("b", 2), ("c", 3)


class Session:
    def __init__(self):
        self.closing = set()


class Features:
    def __init__(self):
        self.session = Session()


@pytest.fixture
def features():
    return Features()


@pytest.fixture
def stores(features):
    stores = Stores(features)
    yield stores
    stores.close()


def read(stores, place, *keys):
    with stores.borrow(place.config) as store:
        rows = [dict(zip(("zone", "area"), key, strict=True)) for key in keys]
        [(_, found)] = find(store, [(place.view, ["n", "s"])], rows)
    return [row and row.values["n"] for row in found]


def test_one_store_serves_one_read_after_another(place, stores):
    place.table((*A, 1, 10), (*B, 2, 20)).run()
    assert read(stores, place, A, B, C) == [10, 20, None]
    [(_, _, first)] = stores._idle
    assert read(stores, place, B) == [20]
    assert [store for *_, store in stores._idle] == [first]


def test_what_is_loaded_meanwhile_is_read(place, stores):
    place.table((*A, 1, 10)).run()
    assert read(stores, place, A, B) == [10, None]
    place.table((*A, 2, 11), (*B, 2, 20)).run()
    assert read(stores, place, A, B) == [11, 20]


def test_a_store_that_is_emptied_has_nothing_and_one_made_anew_is_read(place, stores):
    assert read(stores, place, A) == [None]  # nobody loaded anything
    place.table((*A, 1, 10)).run()
    assert read(stores, place, A) == [10]
    empty(place)
    assert read(stores, place, A) == [None]
    place.table((*A, 1, 12)).run()
    assert read(stores, place, A) == [12]


def empty(place):
    if isinstance(place.config, SqliteStore):
        place.config.path.unlink()
        return
    client = client_of(place)
    for key in [*client.scan_iter(f"*{place.config.project}"), f"gemel:{place.config.project}:materialized"]:
        client.delete(key)
    client.close()


def client_of(place):
    import redis

    return redis.Redis(**place.config.options)


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_file_put_in_the_place_of_the_store_is_read(place, stores):
    place.table((*A, 1, 10)).run()
    assert read(stores, place, A) == [10]
    place.config.path.rename(place.folder / "old.db")
    place.table((*A, 1, 12)).run()
    assert read(stores, place, A) == [12]


@pytest.mark.parametrize("place", ["redis"], indirect=True)
def test_a_connection_that_the_server_closed_is_opened_again(place, stores):
    place.table((*A, 1, 10)).run()
    assert read(stores, place, A) == [10]
    client = client_of(place)
    [(_, _, store)] = stores._idle
    client.client_kill_filter(laddr=None, _id=int(store._ask([(b"CLIENT", b"ID")])[0]))
    client.close()
    assert read(stores, place, A) == [10]


def test_many_threads_read_at_once(place, stores):
    place.table(*(("z", number, 2, number) for number in range(200))).run()

    def work(first):
        return all(read(stores, place, ("z", n), A) == [n, None] for n in range(first, first + 40))

    with ThreadPoolExecutor(12) as threads:
        assert all(threads.map(work, range(0, 160, 10)))
    assert 1 <= len(stores._idle) <= KEPT


def test_a_store_that_failed_is_not_used_again(place, stores):
    place.table((*A, 1, 10)).run()
    read(stores, place, A)
    [(_, _, first)] = stores._idle
    with pytest.raises(BridgeError, match="must be an integer"):
        read(stores, place, ("a", "x"))
    assert stores._idle == []
    assert read(stores, place, A) == [10] and stores._idle[0][2] is not first


def test_a_forked_process_opens_a_store_of_its_own(place, stores, monkeypatch):
    place.table((*A, 1, 10)).run()
    read(stores, place, A)
    [(_, _, parents)] = stores._idle
    with monkeypatch.context() as forked:
        forked.setattr(os, "getpid", lambda: -1)
        assert read(stores, place, A) == [10]
        assert stores._idle[0][2] is not parents
        stores.close()
    parents.close()


def test_the_stores_of_a_closed_or_forgotten_project_are_closed(place):
    place.table((*A, 1, 10)).run()
    for is_closed in (True, False):
        features = Features()
        stores = Stores(features)
        read(stores, place, A)
        idle = stores._idle
        [(_, _, store)] = idle
        closed = []
        store.close = lambda closed=closed: closed.append(1)
        if is_closed:
            [each] = features.session.closing
            each.close()
        del stores
        del features
        assert (closed, idle) == ([1], [])
