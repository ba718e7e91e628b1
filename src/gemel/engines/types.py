"""Types in an engine's words, and in DuckDB's, in which rules and features name them."""

from sqlglot import exp
from sqlglot.errors import SqlglotError

from gemel.engines.duckdb import DIALECT
from gemel.engines.engine import Engine

DECIMAL = "DECIMAL(38, 9)"
"""What a number may be whose scale nobody says."""


def engine_type(type_: str, engine: Engine) -> str:
    """A type of DuckDB's in the engine's words; as it is where there are none."""
    if engine.dialect == DIALECT:
        return type_
    try:
        return str(exp.DataType.build(type_, dialect=DIALECT).sql(engine.dialect))
    except SqlglotError:
        return type_


def duckdb_type(type_: str, engine: Engine) -> str | None:
    """A type of the engine's in DuckDB's words; None where there are none."""
    if type_.upper() in engine.unscaled_types:
        return DECIMAL
    try:
        return str(exp.DataType.build(type_, dialect=engine.dialect).sql(DIALECT))
    except SqlglotError:
        return None
