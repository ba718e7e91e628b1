"""The types of tables in a warehouse that cannot be asked: what dbt has written of them, put to an empty DuckDB."""

from collections.abc import Mapping

from sqlglot import exp
from sqlglot.errors import SqlglotError

from gemel.compiler.compiled import Compiled
from gemel.engines.duckdb import DIALECT
from gemel.engines.engine import Engine
from gemel.errors import WarehouseError
from gemel.features.columns import Describe
from gemel.run import Described, open_empty


def describer(tables: Mapping[tuple[str, str], Mapping[str, str]], engine: Engine) -> Describe:
    """Describes SELECTs, in DuckDB's dialect, over tables by schema and name, whose columns' types dbt has written."""

    def describe(table: Compiled) -> Described:
        with open_empty() as empty:
            for (schema, name), columns in tables.items():
                empty.declare(schema, name, {each: _type(kind, engine) for each, kind in columns.items()})
            try:
                return empty.describe(table)
            except WarehouseError as error:
                # Whatever DuckDB does not know of the warehouse's own functions: the view can say the type.
                raise WarehouseError("G405", error.message) from None

    return describe


def _type(kind: str, engine: Engine) -> str:
    if kind.upper() in engine.unscaled_types:
        return "DECIMAL(38, 9)"
    try:
        return str(exp.DataType.build(kind, dialect=engine.dialect).sql(DIALECT))
    except SqlglotError:
        return "STRUCT(unknown INTEGER)"  # no feature, and no key
