"""A lock on the Feast repository for one materialization at a time, released when the process ends."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gemel.errors import BridgeError


@contextmanager
def locked(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock; if another process holds it, say so and wait. The system releases the lock of a killed process."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / "materialize.lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise BridgeError("G530", f"cannot write to {folder}: {error.strerror or error}") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
            say(f"process {holder} is materializing here; waiting for it to end")
            fcntl.flock(handle, fcntl.LOCK_EX)
        with suppress(OSError):
            os.ftruncate(handle, 0)
            os.pwrite(handle, b"%d\n" % os.getpid(), 0)
        yield
    finally:
        os.close(handle)
