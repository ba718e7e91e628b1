"""The types of tables in a warehouse that cannot be asked: what dbt has written of them, put to an empty DuckDB."""

from collections.abc import Mapping

from gemel.compiler.compiled import Compiled
from gemel.engines.engine import Engine
from gemel.engines.types import duckdb_type
from gemel.errors import WarehouseError
from gemel.run import Describe, Described, open_empty

UNKNOWN = "STRUCT(unknown INTEGER)"
"""The type of what can be no feature, and no key."""


def describer(tables: Mapping[tuple[str, str], Mapping[str, str]], engine: Engine) -> Describe:
    """Describes SELECTs, in DuckDB's dialect, over tables by schema and name, whose columns' types dbt has written."""

    def describe(table: Compiled) -> Described:
        with open_empty() as empty:
            for (schema, name), columns in tables.items():
                types = {each: duckdb_type(kind, engine) or UNKNOWN for each, kind in columns.items()}
                empty.declare(schema, name, types)
            try:
                return empty.describe(table)
            except WarehouseError as error:
                # Whatever DuckDB does not know of the warehouse's own functions: the view can say the type.
                raise WarehouseError("G405", error.message) from None

    return describe
