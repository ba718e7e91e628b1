"""Expressions over the tables of a star as a tool's SQL, with columns as the tool refers to them."""

from collections.abc import Callable

from sqlglot import exp

from gemel.compiler.sql.translation import standardize, translate
from gemel.engines.adaptation import adapt
from gemel.engines.lookup import engine_for_dialect

ANSI = "ansi"
"""Standard SQL, written in PostgreSQL's dialect, which has no functions of its own for these expressions."""

STANDARD = "postgres"
"""The sqlglot dialect for standard SQL."""

OSI_WORDS = {"ANSI_SQL": STANDARD, "SNOWFLAKE": "snowflake", "DATABRICKS": "databricks", "BIGQUERY": "bigquery"}
"""OSI's names of SQL dialects, in the order in which an import prefers them."""

Naming = Callable[[exp.Column], str]
"""Writes a reference to a column."""


def write_expression(tree: exp.Expr, dialect: str, naming: Naming) -> str:
    """The text of an expression, on one line. Raises QueryError (G327) for what the engine does not support."""
    engine = STANDARD if dialect == ANSI else dialect
    select = exp.Select(expressions=[exp.alias_(tree.copy(), "value")])
    if dialect == ANSI:
        standardize(select, engine)
    else:
        translate(select, engine)
    adapt(select, engine_for_dialect(engine))
    adapted = select.selects[0].this

    def named(node: exp.Expr) -> exp.Expr:
        return exp.Var(this=naming(node)) if isinstance(node, exp.Column) else node

    return str(adapted.transform(named).sql(engine))


def qualified(dialect: str) -> Naming:
    """`flights.distance`."""
    return lambda column: f"{column.table}.{bare(dialect)(column)}"


def bare(dialect: str) -> Naming:
    """`distance`, quoted if the engine requires it."""
    engine = STANDARD if dialect == ANSI else dialect
    return lambda column: str(column.this.sql(engine))
