"""Trino."""

from sqlglot import exp

from gemel.engines.engine import COMMON, Capability, Engine
from gemel.engines.rewrites import asof_to_join, each_node, is_true_to_coalesce
from gemel.engines.stores import CONTRIB, FeastStore, Settings, TargetSettings, in_sql


def _store(settings: TargetSettings) -> Settings:
    return {
        "type": "trino",
        "host": settings.plain("host"),
        "port": int(settings.get("port") or 8080),
        "catalog": settings.plain("database"),
        "user": settings.plain("user"),
        "http-scheme": settings.get("http_scheme") or "http",
        "connector": {"type": settings.plain("connector")},
        "dataset": settings.get("schema"),
    }


@each_node
def weeks_in_days(node: exp.Expr) -> exp.Expr:
    """An interval has no weeks."""
    if isinstance(node, exp.Interval) and node.text("unit") == "WEEK" and isinstance(node.this, exp.Literal):
        return exp.Interval(this=exp.Literal.string(str(7 * int(node.this.name))), unit=exp.var("DAY"))
    return node


TRINO = Engine(
    name="trino",
    dialect="trino",
    capabilities=COMMON - {Capability.PERCENTILES} | {Capability.FUNCTIONS, Capability.ROUNDS_HALF_AWAY},
    rewrites=(asof_to_join, is_true_to_coalesce, weeks_in_days),
    address=("host", "port"),
    create_table="{}",
    feast=FeastStore("TrinoSource", f"{CONTRIB}.trino_offline_store.trino_source", in_sql, _store),
)
