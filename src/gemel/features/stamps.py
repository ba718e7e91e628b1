"""A stamp that changes when features are built or declared: the times of the files that are written then."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from gemel.dbt.manifest import MANIFEST
from gemel.files import VIEWS

Stamp = tuple[tuple[str, int, int], ...]
"""Files with their times and sizes: equal until one of them is written."""


def stamp(root: Path, artifacts: Path) -> Stamp:
    """The stamp of the project at `root`; `artifacts` is the folder of dbt's manifest.json.

    It is computed for every online read: without Path, in a fraction of the time.
    """
    folder = os.path.join(root, VIEWS)
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith((".yml", ".yaml")))
    except OSError:
        names = []
    return tuple(_read_times((os.path.join(artifacts, MANIFEST), *(os.path.join(folder, name) for name in names))))


def _read_times(files: Iterable[str]) -> Iterator[tuple[str, int, int]]:
    for file in files:
        try:
            status = os.stat(file)
        except OSError:
            continue
        yield file, status.st_mtime_ns, status.st_size
