"""PostgreSQL's types by DuckDB's names, which rules and feature types use."""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from sqlglot import TokenError, tokenize
from sqlglot.tokenizer_core import TokenType

if TYPE_CHECKING:
    import psycopg

    Session = psycopg.Connection[tuple[Any, ...]]

DIALECT = "postgres"
NUMERIC = "DECIMAL"  # without a scale
_TYPES = {
    "bool": "BOOLEAN",
    "int2": "SMALLINT",
    "int4": "INTEGER",
    "int8": "BIGINT",
    "float4": "FLOAT",
    "float8": "DOUBLE",
    "numeric": NUMERIC,
    "text": "VARCHAR",
    "varchar": "VARCHAR",
    "bpchar": "VARCHAR",
    "name": "VARCHAR",
    "unknown": "VARCHAR",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMP WITH TIME ZONE",
    "bytea": "BLOB",
}
"""Any other type keeps its name."""


def type_of(session: "Session", oid: int, modifier: int) -> str:
    """DuckDB's name of a type, from its number and the modifier that holds its digits."""
    info = session.adapters.types.get(oid)
    if info is None:
        kinds = session.execute(f"SELECT typtype FROM pg_type WHERE oid = {oid}").fetchall()
        return "VARCHAR" if kinds == [("e",)] else "UNKNOWN"
    name = _TYPES.get(info.name, info.name.upper())
    if info.name == "numeric" and modifier > 4:
        name = f"DECIMAL({(modifier - 4) >> 16},{(modifier - 4) & 0xFFFF})"
    return f"{name}[]" if oid == info.array_oid else name


def with_greatest(sql: str) -> str | None:
    """The SQL with MAX for each SUM; None if it has no SUM."""
    try:
        tokens = tokenize(sql, read=DIALECT)
    except TokenError:  # SQL of a definition that only the server can read
        return None
    text = sql
    for token, following in reversed(list(pairwise(tokens))):
        if (
            token.text.upper() == "SUM"
            and token.token_type == TokenType.VAR
            and following.token_type == TokenType.L_PAREN
        ):
            text = f"{text[: token.start]}MAX{text[token.end + 1 :]}"
    return text if text != sql else None
