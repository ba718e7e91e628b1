"""The types of tables in a warehouse that cannot be asked: what dbt has written of them, put to an empty DuckDB."""

from collections.abc import Mapping

from sqlglot import exp
from sqlglot.errors import SqlglotError

from gemel.compiler.question.expressions import identifier
from gemel.engines.duckdb import DIALECT
from gemel.engines.engine import Engine
from gemel.errors import WarehouseError
from gemel.features.columns import Describe


def describer(tables: Mapping[tuple[str, str], Mapping[str, str]], engine: Engine) -> Describe:
    """Describes SELECTs, in DuckDB's dialect, over tables by schema and name, whose columns' types dbt has written."""

    def describe(sql: str) -> tuple[tuple[str, str], ...]:
        import duckdb

        with duckdb.connect() as connection:
            for (schema, name), columns in tables.items():
                place = exp.table_(identifier(name), db=identifier(schema))
                typed = ", ".join(
                    f"{identifier(each).sql(DIALECT)} {_type(kind, engine)}" for each, kind in columns.items()
                )
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {identifier(schema).sql(DIALECT)}")
                connection.execute(f"CREATE TABLE {place.sql(DIALECT)} ({typed})")
            try:
                found = connection.execute(f"DESCRIBE {sql}").fetchall()
            except duckdb.Error as error:
                # Whatever DuckDB does not know of the warehouse's own functions: the view can say the type.
                raise WarehouseError("G405", str(error).splitlines()[0]) from None
        return tuple((str(name), str(kind)) for name, kind, *_ in found)

    return describe


def _type(kind: str, engine: Engine) -> str:
    if kind.upper() in engine.unscaled_types:
        return "DECIMAL(38, 9)"
    try:
        return str(exp.DataType.build(kind, dialect=engine.dialect).sql(DIALECT))
    except SqlglotError:
        return "STRUCT(unknown INTEGER)"  # no feature, and no key
