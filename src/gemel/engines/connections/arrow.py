"""Rows of Python values as Arrow."""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow


def arrow_array(values: list[Any], kind: str) -> "pyarrow.Array[Any]":
    """A column's values as Arrow, from a DuckDB type; values of a type that Arrow does not have become text."""
    import pyarrow as pa

    sized = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind)
    types = {
        "BOOLEAN": pa.bool_(),
        "SMALLINT": pa.int16(),
        "INTEGER": pa.int32(),
        "BIGINT": pa.int64(),
        "FLOAT": pa.float32(),
        "DOUBLE": pa.float64(),
        "VARCHAR": pa.string(),
        "DATE": pa.date32(),
        "TIMESTAMP": pa.timestamp("us"),
        "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", "UTC"),
        "BLOB": pa.binary(),
    }
    type_ = types.get(kind)
    if sized and int(sized[1]) <= 38:
        type_ = pa.decimal128(int(sized[1]), int(sized[2]))
    try:
        return pa.array(values, type=type_)
    except (pa.ArrowException, TypeError):
        return pa.array([None if value is None else str(value) for value in values])
