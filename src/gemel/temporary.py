"""Temporary folders that nobody else can read. Those of killed processes are removed by the next process."""

import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gemel.locking import try_to_lock

_PREFIX = "gemel-"
_LOCK = ".lock"


class TemporaryFolder:
    """A folder for the user alone, until it is closed, or at the latest when its process ends. It is locked, so that
    others know that its process lives."""

    def __init__(self) -> None:
        _sweep()
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        handle = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try_to_lock(handle)
        self._remove = weakref.finalize(self, _remove, self.path, handle, os.getpid())

    def close(self) -> None:
        """Remove it, with everything in it."""
        self._remove()


def _remove(path: Path, handle: int, process: int) -> None:
    if os.getpid() == process:  # and not a fork of it
        shutil.rmtree(path, ignore_errors=True)
        with suppress(OSError):
            os.close(handle)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for the user alone, which is removed afterwards."""
    folder = TemporaryFolder()
    try:
        yield folder.path
    finally:
        folder.close()


def _sweep() -> None:
    """Remove this user's folders whose processes were killed: nobody holds their locks."""
    with suppress(OSError):
        for entry in os.scandir(tempfile.gettempdir()):
            if entry.name.startswith(_PREFIX) and entry.is_dir(follow_symlinks=False) and _is_left(entry):
                shutil.rmtree(entry.path, ignore_errors=True)


def _is_left(folder: "os.DirEntry[str]") -> bool:
    try:
        status = folder.stat(follow_symlinks=False)
    except OSError:  # gone meanwhile
        return False
    try:
        if status.st_uid != os.getuid():
            return False
        handle = os.open(Path(folder.path) / _LOCK, os.O_RDWR)
    except FileNotFoundError:  # about to be locked, or killed before it was
        return time.time() - status.st_mtime > 3600
    except (OSError, AttributeError):  # gone meanwhile; Windows has no user numbers
        return False
    try:
        return try_to_lock(handle)
    finally:
        os.close(handle)
