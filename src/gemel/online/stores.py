"""Online stores that stay open between reads. Each is used by one thread at a time."""

import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from gemel.features.opened import Features
from gemel.online.config import RedisStore, SqliteStore
from gemel.online.opening import open_store
from gemel.online.store import OnlineStore

KEPT = 8
"""More threads than that at once open stores of their own."""

_Idle = list[tuple[int, SqliteStore | RedisStore, OnlineStore]]


class Stores:
    """The stores of a project, which are closed with its session."""

    def __init__(self, features: Features) -> None:
        self._idle: _Idle = []
        features.session.closing.add(self)
        weakref.finalize(features, _close, self._idle)

    @contextmanager
    def borrow(self, config: SqliteStore | RedisStore) -> Iterator[OnlineStore]:
        """An open store. After an error, nobody else gets it."""
        store = self._take(config)
        try:
            yield store
        except BaseException:
            store.close()
            raise
        if len(self._idle) < KEPT:
            self._idle.append((os.getpid(), config, store))
        else:
            store.close()

    def close(self) -> None:
        _close(self._idle)

    def _take(self, config: SqliteStore | RedisStore) -> OnlineStore:
        while self._idle:
            try:
                process, opened, store = self._idle.pop()
            except IndexError:  # another thread was faster
                break
            if process != os.getpid():
                continue  # it is the parent process's
            if opened == config and store.is_current():
                return store
            store.close()
        return open_store(config)


def _close(idle: _Idle) -> None:
    while idle:
        try:
            process, _, store = idle.pop()
        except IndexError:
            return
        if process == os.getpid():
            store.close()
