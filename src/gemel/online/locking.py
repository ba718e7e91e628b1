"""A lock on the Feast repository for one materialization at a time, released when the process ends."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gemel.errors import BridgeError
from gemel.locking import hold_lock


@contextmanager
def locked(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock; if another process holds it, say so and wait."""
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(hold_lock(folder / "materialize.lock", say, doing="materializing"))
        except OSError as error:
            raise BridgeError("G530", f"cannot write to {folder}: {error.strerror or error}") from None
        yield
