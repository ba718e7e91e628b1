"""Expressions over the tables of a star as a tool's SQL, with columns as the tool refers to them."""

from collections.abc import Callable

from sqlglot import exp

from gemel.engines.adaptation import adapt
from gemel.engines.lookup import by_dialect

ANSI = "ansi"
"""Standard SQL: what PostgreSQL takes of it, which has no function of its own for what is written here."""

STANDARD = "postgres"
"""The dialect in which standard SQL is read and written."""

OSI_WORDS = {"ANSI_SQL": STANDARD, "SNOWFLAKE": "snowflake", "DATABRICKS": "databricks", "BIGQUERY": "bigquery"}
"""What OSI calls the SQL of an expression, those first that are read rather than others."""

Naming = Callable[[exp.Column], str]
"""How a column is referred to."""


def spoken(tree: exp.Expr, dialect: str, naming: Naming) -> str:
    """The text of an expression, on one line. Raises QueryError (G327) for what the engine cannot say."""
    engine = STANDARD if dialect == ANSI else dialect
    select = exp.Select(expressions=[exp.alias_(tree.copy(), "said")])
    adapt(select, by_dialect(engine))
    said = select.selects[0].this

    def named(node: exp.Expr) -> exp.Expr:
        return exp.Var(this=naming(node)) if isinstance(node, exp.Column) else node

    return str(said.transform(named).sql(engine))


def qualified(dialect: str) -> Naming:
    """`flights.distance`."""
    return lambda column: f"{column.table}.{bare(dialect)(column)}"


def bare(dialect: str) -> Naming:
    """`distance`, in the engine's quotes where it needs them."""
    engine = STANDARD if dialect == ANSI else dialect
    return lambda column: str(column.this.sql(engine))
