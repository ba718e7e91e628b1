"""Whether contenders say the same. What differs gets no time."""

from pathlib import Path

import duckdb


def check_rows(what: str, one: str, other: str, columns: str = "*") -> None:
    """The same rows, each as often, in whatever order. Both are relations of DuckDB: a file or a table."""
    for left, right in ((one, other), (other, one)):
        wrong = f"select {columns} from {left} except all select {columns} from {right}"
        if duckdb.sql(f"select count(*) from ({wrong})").fetchall() != [(0,)]:
            raise SystemExit(f"{what}: the rows of {one} and {other} differ")


def check_order(what: str, found: Path, asked: Path) -> None:
    """Each request once, in the order asked."""
    got, wanted = (duckdb.sql(f"select request from '{file}'").fetchnumpy()["request"] for file in (found, asked))
    if len(got) != len(wanted) or (got != wanted).any():
        raise SystemExit(f"{what}: not each row of the request in its place")
