"""A stamp that changes when features are built or declared: the times of the files that are written then."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from gemel.dbt.manifest import MANIFEST
from gemel.files import VIEWS

Stamp = tuple[tuple[str, int, int], ...]
"""Files with their times and sizes: equal until one of them is written."""


def stamp(root: Path, artifacts: Path) -> Stamp:
    """The stamp of the project at `root`; `artifacts` is the folder of dbt's manifest.json."""
    return tuple(_read_times((artifacts / MANIFEST, *sorted((root / VIEWS).glob("*.y*ml")))))


def _read_times(files: Iterable[Path]) -> Iterator[tuple[str, int, int]]:
    for file in files:
        try:
            status = file.stat()
        except OSError:
            continue
        yield str(file), status.st_mtime_ns, status.st_size
