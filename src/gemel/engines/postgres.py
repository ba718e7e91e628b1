"""PostgreSQL."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sqlglot import exp

from gemel.engines.engine import COMMON, Capability, Engine, RowHash
from gemel.engines.rewrites import asof_to_join, each_node, type_nulls, unzoned_truncation
from gemel.engines.stores import CONTRIB, FeastStore, Settings, TargetSettings, in_sql

if TYPE_CHECKING:
    from gemel.dbt.profile import Target
    from gemel.engines.connections.postgres import Warehouse


DIALECT = "postgres"


def _connect(target: "Target", _: Path) -> "Warehouse":
    from gemel.engines.connections.postgres import Warehouse, read_server

    return Warehouse(read_server(target))


def _uri(target: "Target", _: Path) -> str:
    settings = target.render()
    return f"postgresql://{settings.get('user')}@{settings.get('host')}:{settings.get('port', 5432)}/{target.database}"


def _store(settings: TargetSettings) -> Settings:
    return {
        "type": "postgres",
        "host": settings.plain("host"),
        "port": int(settings.get("port") or 5432),
        "database": settings.plain("dbname", "database"),
        "db_schema": settings.get("schema") or "public",
        "user": settings.plain("user"),
        "password": settings.secret("password", "pass"),
        # Feast's default refuses a server without TLS; dbt's default uses TLS where the server offers it.
        "sslmode": settings.get("sslmode") or "prefer",
    }


_WHOLE_PARTS = frozenset({"YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "ISODOW", "DOY"})


@each_node
def whole_part(node: exp.Expr) -> exp.Expr:
    """A part of a time is a whole number, not a numeric."""
    if isinstance(node, exp.Extract) and isinstance(node.this, exp.Var) and node.this.name in _WHOLE_PARTS:
        return exp.cast(node, "bigint")
    return node


@each_node
def bare_series(node: exp.Expr) -> exp.Expr:
    """A function that returns a set makes one row of each member where it is among the outputs."""
    return node.this if isinstance(node, exp.Explode) and isinstance(node.this, exp.GenerateSeries) else node


@each_node
def exact_mean(node: exp.Expr) -> exp.Expr:
    """A total over a numeric count has the type of an average: numeric for whole numbers and decimals, a double for
    floats. A cast of the total to a double would lose digits."""
    if isinstance(node, exp.Div) and node.meta.get("mean"):
        node.set("typed", True)
        node.set("expression", exp.cast(node.expression, "decimal"))
    return node


def _hash_row(values: Sequence[exp.Expr]) -> exp.Expr:
    """Of the row as text: not every type has a hash, and 0.0 and -0.0 have the same."""
    row = exp.Anonymous(this="ROW", expressions=[each.copy() for each in values])
    return exp.Anonymous(this="HASHTEXTEXTENDED", expressions=[exp.cast(row, "text"), exp.Literal.number(0)])


POSTGRES = Engine(
    name="postgres",
    dialect=DIALECT,
    capabilities=COMMON - {Capability.APPROXIMATE_PERCENTILES}
    | {
        Capability.ISODOW,
        Capability.SERIES,
        Capability.ROWS,
        Capability.GREATEST_OF_SOME,
        Capability.CASTS_HALF_TO_EVEN,
        Capability.LOOKBACK,
        Capability.ZONED_MOMENTS,
    },
    rewrites=(asof_to_join, unzoned_truncation, whole_part, bare_series, exact_mean, type_nulls),
    longest_name=63,  # longer names are cut off without a warning
    address=("host", "port"),
    feast=FeastStore("PostgreSQLSource", f"{CONTRIB}.postgres_offline_store.postgres_source", in_sql, _store),
    row_hash=RowHash(_hash_row, "NUMERIC"),
    utc_hint="have dbt's role start in UTC (`ALTER ROLE ... SET timezone = 'UTC'`)",
    create_table="DO $$ BEGIN {}; EXCEPTION WHEN duplicate_table OR unique_violation THEN NULL; END $$",
    connect=_connect,
    uri=_uri,
)
