"""Engines by name. The file of an engine is imported when the engine is looked up."""

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
"""Engines with a file of their own. The name is dbt's adapter, the dialect, the file and, in capitals, the value."""


def engine_for_dialect(dialect: str) -> Engine:
    """The engine of one of sqlglot's dialects. One without a value here has the capabilities of most engines."""
    engine = _import_engine(dialect) or next((each for each in _others() if each.dialect == dialect), None)
    return engine or Engine(dialect, dialect)


def engine_for_adapter(adapter: str) -> Engine:
    """The engine of a dbt adapter. An adapter without a dialect in sqlglot is assumed to take DuckDB's SQL."""
    engine = _import_engine(adapter) or next((each for each in _others() if each.name == adapter), None)
    if engine is not None:
        return engine
    if Dialect.get(adapter):
        return engine_for_dialect(adapter)
    duckdb = engine_for_dialect("duckdb")
    return Engine(adapter, duckdb.dialect, duckdb.capabilities, duckdb.rewrites)


def all_engines() -> tuple[Engine, ...]:
    """All engines that have a value here."""
    return (*(engine for name in NAMES if (engine := _import_engine(name))), *_others())


def _import_engine(name: str) -> Engine | None:
    if name not in NAMES:
        return None
    engine: Engine = getattr(import_module(f"gemel.engines.{name}"), name.upper())
    return engine


def _others() -> tuple[Engine, ...]:
    from gemel.engines.others import OTHERS

    return OTHERS
