"""Writes rows to the place that a source reads: appended to, or replacing the existing rows."""

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from feast.data_source import DataSource
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.feature_logging import LoggingDestination
from feast.infra.offline_stores.file_source import FileLoggingDestination, FileSource
from feast.repo_config import RepoConfig
from sqlglot import exp

from gemel.engines.connections.duckdb_errors import translate_errors
from gemel.engines.duckdb import DIALECT
from gemel.errors import BridgeError
from gemel.feast.relations import open_database
from gemel.feast.source import DuckDBSource, relation_of
from gemel.whole_files import make_folder, replace_when_complete

if TYPE_CHECKING:
    import pyarrow

BATCH = "batch"


def write(
    table: "pyarrow.Table", target: DataSource, config: RepoConfig, *, replace: bool, allow_overwrite: bool = True
) -> None:
    """Write rows to a source. Raises Feast's SavedDatasetLocationAlreadyExists, BridgeError (G540, G545) and
    WarehouseError."""
    relation_of(target, config)  # raises for an unsupported source
    if isinstance(target, FileSource):
        path = Path(FileSource.get_uri_for_file_path(config.repo_path, target.path))
        if "://" in target.path:
            raise BridgeError(
                "G545", f"{target.path} is not a local file", hint="only local Parquet files can be written"
            )
        if replace and not allow_overwrite and path.exists():
            raise SavedDatasetLocationAlreadyExists(location=target.path)
        _write_file(table, path, replace=replace)
    else:
        assert isinstance(target, DuckDBSource)
        _write_table(table, target, config, replace=replace, allow_overwrite=allow_overwrite)


def _write_file(table: "pyarrow.Table", path: Path, *, replace: bool) -> None:
    """Write a file completely or not at all. A folder gets one more file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.is_dir():
        if replace:
            for old in path.rglob("*.parquet"):
                old.unlink()
        path = path / f"{uuid.uuid4().hex}.parquet"
    elif path.is_file() and not replace:
        before = pq.read_table(path)
        table = pa.concat_tables([before, table.select(before.column_names).cast(before.schema)])
    make_folder(path.parent)
    with replace_when_complete(path) as unfinished:
        pq.write_table(table, unfinished)


def _write_table(
    table: "pyarrow.Table", target: DuckDBSource, config: RepoConfig, *, replace: bool, allow_overwrite: bool
) -> None:
    import duckdb

    if not target.table:
        raise BridgeError("G545", f"source {target.name!r} is a query, which cannot be written to")
    relation = relation_of(target, config)
    place = relation.tree.sql(DIALECT)
    batch = exp.select("*").from_(BATCH).sql(DIALECT)
    with open_database(relation.database, write=True) as connection, translate_errors():
        connection.register(BATCH, table)
        if not replace:
            connection.execute(f"INSERT INTO {place} BY NAME {batch}")
            return
        if allow_overwrite:
            connection.execute(f"CREATE OR REPLACE TABLE {place} AS {batch}")
            return
        try:
            connection.execute(f"CREATE TABLE {place} AS {batch}")
        except duckdb.CatalogException as error:
            if "already exists" not in str(error):
                raise
            raise SavedDatasetLocationAlreadyExists(location=target.table) from None


def write_log(data: "pyarrow.Table | Path", destination: LoggingDestination, config: RepoConfig) -> None:
    """Write logged features as Parquet to the folder of a FileLoggingDestination. Raises BridgeError (G545)."""
    import pyarrow.parquet as pq

    if not isinstance(destination, FileLoggingDestination) or "://" in destination.path:
        raise BridgeError(
            "G545", "logged features can be written to a local folder only", hint="use a FileLoggingDestination"
        )
    table = pq.read_table(data) if isinstance(data, Path) else data
    folder = Path(FileSource.get_uri_for_file_path(config.repo_path, destination.path))
    if destination.partition_by:
        pq.write_to_dataset(table, folder, partition_cols=destination.partition_by)
        return
    folder.mkdir(parents=True, exist_ok=True)
    _write_file(table, folder, replace=False)
