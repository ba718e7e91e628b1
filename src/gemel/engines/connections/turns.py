"""Turns of threads at one warehouse: how many ask at once, and when it can be closed."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, get_ident

from gemel.cancellation import check, is_cancelled, stopping
from gemel.errors import WarehouseError


class Turns:
    """At most `at_once` threads have a turn at the same time. The others wait, at most `wait` seconds.

    A thread that has a turn gets another one without waiting: it could wait for itself.
    """

    def __init__(self, at_once: int, wait: float) -> None:
        self._at_once = at_once
        self._wait = wait
        self._changed = Condition()
        self._taken: dict[object, int] = {}
        self._closing: int | None = None

    @contextmanager
    def take(self) -> Iterator[None]:
        """A turn. Raises WarehouseError (G403) if none is free in time, and G411 if the query is cancelled."""
        me, turn = get_ident(), object()
        with stopping(self._wake), self._changed:
            is_free = self._changed.wait_for(lambda: is_cancelled() or self._is_free(me), self._wait)
            check()
            if not is_free:
                raise WarehouseError(
                    "G403",
                    f"{len(self._taken)} other queries are still running after {self._wait:g} seconds",
                    hint="`vars: gemel: limits: at_once` lets more run at the same time, and `wait` waits longer",
                )
            self._taken[turn] = me
        try:
            yield
        finally:
            with self._changed:
                del self._taken[turn]
                self._changed.notify_all()

    @contextmanager
    def close(self) -> Iterator[None]:
        """Wait until no other thread has a turn; none begins one before this block ends."""
        me = get_ident()
        with self._changed:
            self._changed.wait_for(lambda: self._closing in (None, me))
            outermost = self._closing is None
            self._closing = me
            self._changed.wait_for(lambda: all(thread == me for thread in self._taken.values()))
        try:
            yield
        finally:
            with self._changed:
                if outermost:
                    self._closing = None
                self._changed.notify_all()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _is_free(self, thread: int) -> bool:
        if thread in self._taken.values() or thread == self._closing:
            return True
        return self._closing is None and len(self._taken) < self._at_once
