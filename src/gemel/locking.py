"""Locks of files, which the system releases when the process ends, however it ends."""

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gemel.waits import Wait


def try_to_lock(handle: int) -> bool:
    """Lock an open file; False if another open file of it is locked."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def hold_lock(file: Path, say: Callable[[str], None], *, doing: str, wait: float | None = None) -> Iterator[None]:
    """Hold the lock of a file. If another process has it, `say` what it is doing and wait, at most `wait` seconds.

    Raises OSError if the file cannot be created, and TimeoutError with the number of the process that has the lock.
    """
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _wait_for(handle, say, doing, wait)
        with suppress(OSError):
            os.ftruncate(handle, 0)
            os.pwrite(handle, b"%d\n" % os.getpid(), 0)
        yield
    finally:
        os.close(handle)


def _wait_for(handle: int, say: Callable[[str], None], doing: str, wait: float | None) -> None:
    turn = Wait(say, deadline=math.inf if wait is None else time.monotonic() + wait, pause=0.1)
    while not try_to_lock(handle):
        holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
        if turn.is_over:
            raise TimeoutError(holder)
        turn.pause(f"process {holder} is {doing} here; waiting for it to end")
