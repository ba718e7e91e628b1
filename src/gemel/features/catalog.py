"""The types of tables in a warehouse that cannot be asked: what dbt has written down of them, put to an empty DuckDB.

dbt's `catalog.json` (`dbt docs generate`) has the columns of all tables; a column's `data_type` in a model's properties
says more, and counts first.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlglot import exp
from sqlglot.errors import SqlglotError

from gemel.compiler.question.expressions import identifier
from gemel.engines.duckdb import DUCKDB
from gemel.engines.engine import Engine
from gemel.errors import WarehouseError
from gemel.features.columns import Describe

Columns = dict[str, str]


def describer(artifacts: Path, engine: Engine) -> Describe:
    """Describes SELECTs, in DuckDB's dialect, over the tables of which dbt has written the types down."""
    tables = {(schema, name): columns for schema, name, columns in _tables(artifacts)}

    def describe(sql: str) -> tuple[tuple[str, str], ...]:
        import duckdb

        with duckdb.connect() as connection:
            for (schema, name), columns in tables.items():
                place = exp.table_(identifier(name), db=identifier(schema))
                typed = ", ".join(
                    f"{identifier(each).sql(DUCKDB.dialect)} {_type(kind, engine)}" for each, kind in columns.items()
                )
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {identifier(schema).sql(DUCKDB.dialect)}")
                connection.execute(f"CREATE TABLE {place.sql(DUCKDB.dialect)} ({typed})")
            try:
                found = connection.execute(f"DESCRIBE {sql}").fetchall()
            except duckdb.Error as error:
                # Whatever DuckDB does not know of the warehouse's own functions: the view can say the type.
                raise WarehouseError("G405", str(error).splitlines()[0]) from None
        return tuple((str(name), str(kind)) for name, kind, *_ in found)

    return describe


def _tables(artifacts: Path) -> Iterator[tuple[str, str, Columns]]:
    catalog, manifest = (_nodes(artifacts / f"{name}.json") for name in ("catalog", "manifest"))
    for unique_id in {**manifest, **catalog}:
        node, built = manifest.get(unique_id, {}), catalog.get(unique_id, {})
        place = node or built.get("metadata", {})
        schema, name = place.get("schema"), place.get("alias") or place.get("identifier") or place.get("name")
        columns: Columns = {}
        for each in [*built.get("columns", {}).values(), *node.get("columns", {}).values()]:
            kind = each.get("data_type") or each.get("type")
            if kind:
                columns[str(each["name"]).lower()] = str(kind)
        if schema and name and columns:
            yield str(schema), str(name), columns


def _nodes(file: Path) -> dict[str, dict[str, Any]]:
    try:
        content = json.loads(file.read_bytes())
        return {**content.get("nodes", {}), **content.get("sources", {})}
    except (OSError, ValueError, AttributeError):
        return {}


def _type(kind: str, engine: Engine) -> str:
    if kind.upper() in engine.unscaled_types:
        return "DECIMAL(38, 9)"
    try:
        return str(exp.DataType.build(kind, dialect=engine.dialect).sql(DUCKDB.dialect))
    except SqlglotError:
        return "STRUCT(unknown INTEGER)"  # no feature, and no key
