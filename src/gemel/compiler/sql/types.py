"""The types of outputs whose expressions decide them on every engine. The engine decides the others."""

from sqlglot import exp

from gemel.compiler.question.verbatim import Verbatim, as_read
from gemel.engines.duckdb import DIALECT

WHOLE, TRUTH = "BIGINT", "BOOLEAN"


def settled_types(select: exp.Select) -> list[tuple[str, str | None]]:
    """Each output with its type in DuckDB's words: `BIGINT` for a count, None if only the engine can decide it."""
    types: list[tuple[str, str | None]] = []
    for output in select.selects:
        value = output.unalias()
        match as_read(value) if isinstance(value, Verbatim) else value:
            case exp.Count() | exp.Filter(this=exp.Count()):
                type_: str | None = WHOLE
            case exp.Boolean() | exp.Predicate() | exp.Not() | exp.Connector():
                type_ = TRUTH
            case exp.Cast(to=exp.DataType() as cast):
                type_ = str(cast.sql(DIALECT))
            case _:
                type_ = None
        types.append((output.alias_or_name, type_))
    return types
