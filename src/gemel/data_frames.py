"""Arrow tables as pandas DataFrames."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow


def data_frame(table: "pyarrow.Table") -> Any:
    """A pandas DataFrame. Whole numbers beside NULLs are `Int64` and its like, as in DuckDB's own DataFrames: pandas by
    itself makes floats of them, and loses digits from 2^53 on. pandas must be installed."""
    import pandas
    import pyarrow.types as types

    frame = table.to_pandas()
    index = (table.schema.pandas_metadata or {}).get("index_columns", [])
    columns = [column for name, column in zip(table.column_names, table.columns, strict=True) if name not in index]
    for place, column in enumerate(columns):
        if types.is_integer(column.type) and column.null_count:
            sign = "Int" if types.is_signed_integer(column.type) else "UInt"
            dtype = pandas.api.types.pandas_dtype(f"{sign}{column.type.bit_width}")
            frame.isetitem(place, column.to_pandas(types_mapper=lambda _, dtype=dtype: dtype).set_axis(frame.index))
    return frame
