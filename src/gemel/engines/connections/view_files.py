"""The files that the views of a DuckDB database read, by the SQL of these views."""

import glob
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gemel.errors import WarehouseError

_TOKEN = re.compile(r"""'((?:[^']|'')*)'|"((?:[^"]|"")*)"|([A-Za-z_]\w*)|([(),.])""")
_READS = re.compile(r"read|scan|glob|sniff|parquet_", re.IGNORECASE)
_WILDCARD = re.compile(r"[*?\[{]")


@dataclass(frozen=True, slots=True)
class Files:
    """The paths and folders that may be read besides the databases. `start` is where relative paths start, if that is
    not the current directory."""

    paths: frozenset[str] = frozenset()
    folders: frozenset[str] = frozenset()
    start: str = ""


def find_files(views: Iterable[str], project: str = "") -> Files:
    """The paths of files, and the folders of those named by a pattern.

    `SELECT * FROM read_csv('raw/a.csv'), "b.parquet", read_parquet('raw/*.parquet')` reads the files `raw/a.csv` and
    `b.parquet`, and the folder `raw/`.

    dbt may have made the views in the folder of the project or in the current directory: relative paths start where
    the files are. Raises WarehouseError (G401) if there are such files in both.
    """
    paths = list(dict.fromkeys(path for view in views for path in _paths(view)))
    files: set[str] = set()
    folders: set[str] = set()
    moved = [path for path in paths if _is_only_in(project, path)]
    for path in [*paths, *(f"{project}/{path}" for path in moved)]:
        pattern = _WILDCARD.search(path)
        if pattern is None:
            files.add(_absolute(path))
        folder = path[: pattern.start()].rpartition("/")[0] if pattern else path
        folders.add(_absolute(folder) + "/")  # Delta and Iceberg tables are folders
    return Files(frozenset(files), frozenset(folders), project if moved else "")


def _is_only_in(project: str, path: str) -> bool:
    """Whether a relative path leads to files of the project, and to none of the current directory."""
    if not project or "://" in path or os.path.isabs(path):
        return False
    here, there = (_matches(os.path.join(folder, path)) for folder in (os.getcwd(), project))
    if here and there and here != there:
        raise WarehouseError(
            "G401",
            f"a view reads {path!r}, which is there both in the project {project} and in the current directory "
            f"{os.getcwd()}",
            hint="run gemel in the folder in which dbt was run, or write the whole path in the model",
        )
    return bool(there) and not here


def _matches(path: str) -> set[str]:
    if _WILDCARD.search(path):
        return {os.path.realpath(each) for each in glob.iglob(path, recursive=True)}
    return {os.path.realpath(path)} if os.path.exists(path) else set()


def _paths(view: str) -> Iterator[str]:
    """The texts in calls of functions that read files, and quoted names of tables that look like files."""
    functions: list[str] = []
    before = ""
    for match in _TOKEN.finditer(view):
        text, quoted, word, mark = match.groups()
        if text is not None and any(map(_READS.search, functions)):
            yield text.replace("''", "'")
        elif quoted is not None and before in ("from", "join", ",", "(") and re.search(r"[./]", quoted):
            yield quoted.replace('""', '"')
        elif mark == "(":
            functions.append(before)
        elif mark == ")" and functions:
            functions.pop()
        before = (word or mark or quoted or "").lower()


def _absolute(path: str) -> str:
    return path.rstrip("/") if "://" in path else os.path.abspath(path or ".")
