"""Which engine a name stands for. A file is imported when its engine is looked up."""

from importlib import import_module

from sqlglot import Dialect

from gemel.engines.engine import Engine

NAMES = (
    "duckdb",
    "postgres",
    "snowflake",
    "bigquery",
    "redshift",
    "databricks",
    "spark",
    "athena",
    "trino",
    "clickhouse",
)
"""Engines with a file of their own, each named as dbt's adapter, the dialect and, in capitals, the value in it."""


def by_dialect(dialect: str) -> Engine:
    """The engine that speaks one of sqlglot's dialects: with what most engines can, where nothing is noted of it."""
    engine = _noted(dialect) or next((each for each in _others() if each.dialect == dialect), None)
    return engine or Engine(dialect, dialect)


def by_adapter(adapter: str) -> Engine:
    """The engine of a dbt adapter. One that sqlglot has never heard of is taken to speak as DuckDB does."""
    engine = _noted(adapter) or next((each for each in _others() if each.name == adapter), None)
    if engine is not None:
        return engine
    if Dialect.get(adapter):
        return by_dialect(adapter)
    duckdb = by_dialect("duckdb")
    return Engine(adapter, duckdb.dialect, duckdb.capabilities, duckdb.rewrites)


def every() -> tuple[Engine, ...]:
    """All engines of which something is noted."""
    return (*(engine for name in NAMES if (engine := _noted(name))), *_others())


def _noted(name: str) -> Engine | None:
    if name not in NAMES:
        return None
    engine: Engine = getattr(import_module(f"gemel.engines.{name}"), name.upper())
    return engine


def _others() -> tuple[Engine, ...]:
    from gemel.engines.others import OTHERS

    return OTHERS
