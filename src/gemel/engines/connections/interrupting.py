"""Work of an engine that Ctrl-C and a time limit can end."""

import atexit
from collections.abc import Callable
from concurrent.futures import Future, wait
from threading import Event, Thread, current_thread, main_thread
from typing import Protocol, TypeVar

from gemel.cancellation import check, current, stopping
from gemel.engines.connections.exceeded import exceeded_time

T = TypeVar("T")

GRACE = 2  # seconds in which an engine is expected to stop
_PAUSE = 0.05  # seconds between two interrupts


class Interruptible(Protocol):
    """A connection whose query another thread can stop."""

    def interrupt(self) -> None: ...


def run(
    connection: Interruptible, work: Callable[[], T], *, seconds: float | None = None, left: list[Thread] | None = None
) -> T:
    """Do the work, in a thread of its own if Ctrl-C can come (to the main thread), another thread can cancel the work,
    or the time is limited.

    Some functions of an engine do not notice an interrupt before they have computed a whole batch of rows. Their thread
    is added to `left`, and ends by itself. Raises WarehouseError (G410) after `seconds`, and G411 if it is cancelled.
    """
    if seconds is None and current() is None and current_thread() is not main_thread():
        return work()
    outcome: Future[T] = Future()
    over = Event()
    outcome.add_done_callback(lambda _: over.set())

    def finish() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    thread = Thread(target=finish, daemon=True)
    try:
        with stopping(over.set):
            thread.start()
            over.wait(seconds)
        if not outcome.done():
            check()
            raise exceeded_time(seconds or 0)
    except BaseException:
        if thread.ident is not None and not _stop(connection, outcome):
            atexit.register(thread.join)  # Python cannot end under it
            if left is not None:
                left.append(thread)
        raise
    thread.join()  # until then it holds the connection, and with it the file
    return outcome.result()


def _stop(connection: Interruptible, outcome: Future[T]) -> bool:
    """Interrupt the work until it ends. An engine forgets an interrupt that comes before it has begun."""
    for _ in range(int(GRACE / _PAUSE)):
        connection.interrupt()
        if wait([outcome], _PAUSE).done:
            return True
    return False
