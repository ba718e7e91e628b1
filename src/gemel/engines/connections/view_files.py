"""The files that the views of a DuckDB database read, by the SQL of these views."""

import os
import re
from collections.abc import Iterable, Iterator

_TOKEN = re.compile(r"""'((?:[^']|'')*)'|"((?:[^"]|"")*)"|([A-Za-z_]\w*)|([(),.])""")
_READS = re.compile(r"read|scan|glob|sniff|parquet_", re.IGNORECASE)
_WILDCARD = re.compile(r"[*?\[{]")


def find_files(views: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
    """The paths of files, and the folders of those named by a pattern.

    `SELECT * FROM read_csv('raw/a.csv'), "b.parquet", read_parquet('raw/*.parquet')` reads the files `raw/a.csv` and
    `b.parquet`, and the folder `raw/`.
    """
    files: set[str] = set()
    folders: set[str] = set()
    for path in (path for view in views for path in _paths(view)):
        pattern = _WILDCARD.search(path)
        if pattern is None:
            files.add(_absolute(path))
        folder = path[: pattern.start()].rpartition("/")[0] if pattern else path
        folders.add(_absolute(folder) + "/")  # Delta and Iceberg tables are folders
    return frozenset(files), frozenset(folders)


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
