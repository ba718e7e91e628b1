"""DuckDB, which accepts everything that the compiler writes, and which gemel uses for its own computations."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from gemel.engines.engine import COMMON, Capability, Engine, RowHash
from gemel.engines.stores import FEAST, FeastStore

if TYPE_CHECKING:
    from gemel.dbt.profile import Target
    from gemel.engines.connections.duckdb import Warehouse

DIALECT = "duckdb"
"""The dialect of definitions and filters unless the project's warehouse has another one; the dialect of type names,
and of queries on scratch databases, Parquet files and Feast's offline store."""


def _connect(target: "Target", project_dir: Path) -> "Warehouse":
    from gemel.engines.connections.duckdb import Warehouse
    from gemel.engines.connections.files import read_files

    return Warehouse(read_files(target, project_dir))


def _uri(target: "Target", project_dir: Path) -> str:
    from gemel.engines.connections.files import read_files

    return uri_of(read_files(target, project_dir).path)


def uri_of(file: str | Path) -> str:
    """SQLAlchemy's URI of a DuckDB file."""
    return f"duckdb:///{file}"


def _read_only(target: "Target", project_dir: Path, file: str | Path | None) -> dict[str, Any]:
    from gemel.engines.connections.files import read_only

    return read_only(target, project_dir, file)


def _hash_row(values: Sequence[exp.Expr]) -> exp.Expr:
    """Equal numbers have one hash: 19.99 as a DECIMAL and 1999 too, so their types are hashed with them. 0 and -0 are
    equal, and so are all NaNs."""
    row = exp.Anonymous(this="ROW", expressions=[each.copy() for each in values])
    types = exp.Anonymous(this="TYPEOF", expressions=[row])
    return exp.Anonymous(this="HASH", expressions=[types, *(each.copy() for each in values)])


DUCKDB = Engine(
    name=DIALECT,
    dialect=DIALECT,
    capabilities=COMMON
    | {
        Capability.ISODOW,
        Capability.SERIES,
        Capability.ROWS,
        Capability.GREATEST_OF_SOME,
        Capability.ROUNDS_HALF_AWAY,
        Capability.CASTS_HALF_TO_EVEN,
        Capability.LOOKBACK,
        Capability.ERROR,
        Capability.WIDE_DESCRIBE,
        Capability.COPIED,
        Capability.CREATES_IN_TURN,
        Capability.ROUNDS,
    },
    rewrites=(),
    address=("path",),
    create_table="{}",
    feast=FeastStore(
        "FileSource",
        FEAST,
        # Feast resolves a relative path against whatever directory it runs in, so the path is made absolute.
        lambda table: {"path": f'str(TABLES / "{table.name}.parquet")'},
        lambda _: {"type": "gemel.feast.DuckDBOfflineStore"},
    ),
    row_hash=RowHash(_hash_row, "HUGEINT"),
    utc_hint="give the profile's target `settings: {TimeZone: UTC}`",
    connect=_connect,
    uri=_uri,
    read_only=_read_only,
)
