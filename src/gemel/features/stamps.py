"""Whether features were built or declared anew: the times of the files that dbt and people write then."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from gemel.dbt.manifest import MANIFEST
from gemel.files import VIEWS

Stamp = tuple[tuple[str, int, int], ...]
"""Files with their times and sizes: equal until one of them is written."""


def stamp(root: Path, artifacts: Path) -> Stamp:
    """For the project at `root`; `artifacts` is where each run of dbt leaves its manifest.json."""
    return tuple(_stamped((artifacts / MANIFEST, *sorted((root / VIEWS).glob("*.y*ml")))))


def _stamped(files: Iterable[Path]) -> Iterator[tuple[str, int, int]]:
    for file in files:
        try:
            status = file.stat()
        except OSError:
            continue
        yield str(file), status.st_mtime_ns, status.st_size
