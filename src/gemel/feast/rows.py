"""The entity rows of a request, from a pandas DataFrame or a SQL query, as Arrow."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from feast.errors import EntityTimestampInferenceException, FeastEntityDFMissingColumnsError

from gemel.engines.connections.duckdb_errors import translate_errors
from gemel.errors import BridgeError
from gemel.feast.joins import MOMENT, NANOS, ROW
from gemel.feast.relations import open_database

if TYPE_CHECKING:
    import datetime as dt

    import pandas
    import pyarrow

DEFAULT = "event_timestamp"


@dataclass(frozen=True)
class EntityRows:
    """`table` is unchanged; `moment` names its column of times; `ticks` are these as (microseconds, nanoseconds)."""

    table: "pyarrow.Table"
    moment: str
    ticks: "tuple[pyarrow.Array, pyarrow.Array]"

    def keyed(self, keys: Iterable[str]) -> "pyarrow.Table":
        """The columns that the join needs. Raises Feast's FeastEntityDFMissingColumnsError."""
        import numpy
        import pyarrow as pa

        required = [*dict.fromkeys(keys)]
        missing = {*required} - {*self.table.column_names}
        if missing:
            raise FeastEntityDFMissingColumnsError({*required, self.moment}, missing)
        columns = {ROW: pa.array(numpy.arange(self.table.num_rows)), MOMENT: self.ticks[0], NANOS: self.ticks[1]}
        return pa.table(columns | {key: self.table[key] for key in required})

    def bounds(self) -> "tuple[dt.datetime | None, dt.datetime | None]":
        import datetime as dt

        import pyarrow.compute as pc

        extent = pc.min_max(self.ticks[0]).as_py()
        start = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
        least, greatest = (
            None if extent[end] is None else start + dt.timedelta(microseconds=extent[end]) for end in ("min", "max")
        )
        return least, greatest


def from_frame(frame: "pandas.DataFrame") -> EntityRows:
    """Entity rows from pandas. Raises BridgeError (G544) for columns with mixed types, and Feast's error if no column
    is the time."""
    import pyarrow as pa

    try:
        return entity_rows(pa.Table.from_pandas(frame, preserve_index=False))
    except (pa.ArrowException, ValueError) as error:
        raise BridgeError(
            "G544",
            f"the entity rows cannot be read: {'; '.join(str(part) for part in error.args)}",
            hint="each column needs a unique name, and values of one type",
        ) from None


def from_sql(query: str, database: Path | None) -> EntityRows:
    """The rows of the query, in its order. Raises WarehouseError for DuckDB's errors."""
    with open_database(database) as connection, translate_errors():
        return entity_rows(connection.sql(query).to_arrow_table())


def entity_rows(table: "pyarrow.Table") -> EntityRows:
    """Entity rows from Arrow. Raises BridgeError (G544), and Feast's EntityTimestampInferenceException unless exactly
    one column is the time."""
    import pyarrow as pa

    moment = DEFAULT
    if DEFAULT not in table.column_names:
        times = [field.name for field in table.schema if pa.types.is_timestamp(field.type)]
        if len(times) != 1:
            raise EntityTimestampInferenceException(DEFAULT)
        moment = times[0]
    return EntityRows(table, moment, _ticks(table[moment]))


def _ticks(column: "pyarrow.ChunkedArray") -> "tuple[pyarrow.Array, pyarrow.Array]":
    """Microseconds and nanoseconds of times of any unit; times without a zone are UTC. Strings are parsed as in Feast's
    stores."""
    import numpy
    import pandas
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        times = pandas.to_datetime(column.to_pandas(), utc=True, format="ISO8601")
        column = pa.chunked_array([pa.Array.from_pandas(times)])
    elif pa.types.is_date(column.type) or pa.types.is_null(column.type):
        column = column.cast(pa.timestamp("us"))
    if not pa.types.is_timestamp(column.type):
        raise BridgeError(
            "G544",
            f"the times of the entity rows are {column.type}",
            hint="give timestamps: pandas.to_datetime(entity_df['event_timestamp'])",
        )
    if column.type.unit in ("s", "ms"):
        column = column.cast(pa.timestamp("us", column.type.tz))
    empty = pc.is_null(column).to_numpy()
    ticks = column.cast(pa.int64()).fill_null(0).to_numpy()
    if column.type.unit == "us":
        micros, nanos = ticks, numpy.zeros(len(ticks), dtype=numpy.int16)
    else:
        micros, nanos = ticks // 1000, (ticks % 1000).astype(numpy.int16)
    return pa.array(micros, mask=empty), pa.array(nanos)
