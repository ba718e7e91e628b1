"""The cancellation of an answer's queries, from any thread."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock

from gemel.errors import WarehouseError


class Cancellation:
    """Stops whatever runs in its `scope`, now and later."""

    def __init__(self) -> None:
        self.is_cancelled = False
        self._lock = Lock()
        self._stops: dict[object, Callable[[], None]] = {}

    def cancel(self) -> None:
        """Stop what runs in the scope, in all threads. It ends soon afterwards, with WarehouseError (G411)."""
        with self._lock:
            self.is_cancelled = True
            for stop in self._stops.values():
                stop()

    @contextmanager
    def scope(self) -> Iterator[None]:
        """The queries of this block can be stopped."""
        token = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(token)

    @contextmanager
    def _stopping(self, stop: Callable[[], None]) -> Iterator[None]:
        place = object()
        with self._lock:
            check()
            self._stops[place] = stop
        try:
            yield
        finally:
            with self._lock:
                del self._stops[place]


_CURRENT: ContextVar[Cancellation | None] = ContextVar("cancellation", default=None)


def current() -> Cancellation | None:
    """The cancellation in whose scope this thread is."""
    return _CURRENT.get()


def is_cancelled() -> bool:
    """Whether the work of this thread was cancelled."""
    cancellation = current()
    return cancellation is not None and cancellation.is_cancelled


def check() -> None:
    """Raises WarehouseError (G411) if the work of this thread was cancelled."""
    if is_cancelled():
        raise WarehouseError("G411", "the query was cancelled", hint="ask again for a new answer")


@contextmanager
def stopping(stop: Callable[[], None]) -> Iterator[None]:
    """If the work of this block is cancelled, call `stop`: in another thread, and not after the block. It must return
    at once. Raises WarehouseError (G411) if the work was cancelled before."""
    cancellation = current()
    if cancellation is None:
        yield
    else:
        with cancellation._stopping(stop):
            yield
