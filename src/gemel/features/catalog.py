"""The types of tables in a warehouse that gemel cannot query: from dbt's catalog, by way of an empty DuckDB."""

from collections.abc import Mapping

from gemel.compiler.compiled import Compiled
from gemel.engines.engine import Engine
from gemel.engines.types import duckdb_type
from gemel.errors import WarehouseError
from gemel.run import Describe, Described, open_empty

UNKNOWN = "STRUCT(unknown INTEGER)"
"""A type that neither a feature nor a key can have."""


def describer(tables: Mapping[tuple[str, str], Mapping[str, str]], engine: Engine) -> Describe:
    """A function that describes SELECTs in DuckDB's dialect over `tables`, which are by schema and name."""

    def describe(table: Compiled) -> Described:
        with open_empty() as empty:
            for (schema, name), columns in tables.items():
                types = {each: duckdb_type(kind, engine) or UNKNOWN for each, kind in columns.items()}
                empty.declare(schema, name, types)
            try:
                return empty.describe(table)
            except WarehouseError as error:
                # DuckDB does not have all functions of the warehouse: the view can declare the type.
                raise WarehouseError("G405", error.message) from None

    return describe
