"""Type names of an engine, and DuckDB's, which rules and features use."""

from sqlglot import exp
from sqlglot.errors import SqlglotError

from gemel.engines.duckdb import DIALECT
from gemel.engines.engine import Engine

DECIMAL = "DECIMAL(38, 9)"
"""The type of a number whose scale is unknown."""


def engine_type(type_: str, engine: Engine) -> str:
    """The engine's name of a DuckDB type; unchanged if there is none."""
    if engine.dialect == DIALECT:
        return type_
    try:
        return str(exp.DataType.build(type_, dialect=DIALECT).sql(engine.dialect))
    except SqlglotError:
        return type_


def duckdb_type(type_: str, engine: Engine) -> str | None:
    """DuckDB's name of an engine's type; None if there is none."""
    if type_.upper() in engine.unscaled_types:
        return DECIMAL
    try:
        return str(exp.DataType.build(type_, dialect=engine.dialect).sql(DIALECT))
    except SqlglotError:
        return None
