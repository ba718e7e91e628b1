"""The type of an output as far as its expression settles it on every engine; the engine is asked for the rest."""

from sqlglot import exp

from gemel.engines.duckdb import DIALECT

WHOLE, TRUTH = "BIGINT", "BOOLEAN"


def settled_type(output: exp.Expr) -> str | None:
    """In DuckDB's words: `BIGINT` of a count; None where it is the engine's to say, as of a sum."""
    match output.unalias():
        case exp.Count() | exp.Filter(this=exp.Count()):
            return WHOLE
        case exp.Boolean() | exp.Predicate() | exp.Not() | exp.Connector():
            return TRUTH
        case exp.Cast(to=exp.DataType() as type_):
            return str(type_.sql(DIALECT))
        case _:
            return None
