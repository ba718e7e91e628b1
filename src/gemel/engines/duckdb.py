"""DuckDB, which has all that the compiler writes, and in which gemel computes what it computes by itself."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gemel.engines.engine import COMMON, Capability, Engine
from gemel.engines.stores import FEAST, FeastStore

if TYPE_CHECKING:
    from gemel.dbt.profile import Target
    from gemel.engines.connections.duckdb import Warehouse

DIALECT = "duckdb"
"""The SQL that definitions and filters are read in unless their project's warehouse speaks another one, that types are
named in, and that scratch databases, Parquet files and Feast's offline store are asked in."""


def _connect(target: "Target", project_dir: Path) -> "Warehouse":
    from gemel.engines.connections.duckdb import Warehouse
    from gemel.engines.connections.files import read_files

    return Warehouse(read_files(target, project_dir))


def _uri(target: "Target", project_dir: Path) -> str:
    from gemel.engines.connections.files import read_files

    return uri_of(read_files(target, project_dir).path)


def uri_of(file: str | Path) -> str:
    """A DuckDB file for SQLAlchemy."""
    return f"duckdb:///{file}"


def _read_only(target: "Target", project_dir: Path, file: str | Path | None) -> dict[str, Any]:
    from gemel.engines.connections.files import read_only

    return read_only(target, project_dir, file)


DUCKDB = Engine(
    name=DIALECT,
    dialect=DIALECT,
    capabilities=COMMON
    | {
        Capability.ISODOW,
        Capability.SERIES,
        Capability.ROWS,
        Capability.LOOKBACK,
        Capability.ERROR,
        Capability.WIDE_DESCRIBE,
        Capability.COPIED,
    },
    rewrites=(),
    address=("path",),
    feast=FeastStore(
        "FileSource",
        FEAST,
        # Feast resolves a relative path against whatever directory it runs in, so the path is made absolute.
        lambda table: {"path": f'str(TABLES / "{table.name}.parquet")'},
        lambda _: {"type": "gemel.feast.DuckDBOfflineStore"},
    ),
    utc_hint="give the profile's target `settings: {TimeZone: UTC}`",
    connect=_connect,
    uri=_uri,
    read_only=_read_only,
)
