"""A lock on the Feast repository for one materialization at a time, released when the process ends."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gemel.errors import BridgeError
from gemel.locking import hold_lock


@contextmanager
def locked(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock; if another process holds it, say so and wait."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = hold_lock(folder / "materialize.lock", say, doing="materializing")
        lock.__enter__()
    except OSError as error:
        raise BridgeError("G530", f"cannot write to {folder}: {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.__exit__(None, None, None)
