"""ClickHouse."""

import json

from sqlglot import exp

from gemel.engines.engine import COMMON, Capability, Engine
from gemel.engines.rewrites import asof_to_join, each_node
from gemel.engines.stores import CONTRIB, FeastStore, Settings, TargetSettings, in_sql

SETTINGS = ("join_use_nulls", "aggregate_functions_null_for_empty", "prefer_column_name_to_alias")
"""Without these, an unmatched row of an outer join has zeros, a sum of no rows is 0, and an alias hides its column."""


def _store(settings: TargetSettings) -> Settings:
    return {
        "type": "clickhouse",
        "host": settings.get("host") or "localhost",
        "port": int(settings.get("port") or 8123),
        "database": settings.get("schema") or "default",
        "user": settings.get("user") or "default",
        "password": settings.secret("password"),
    }


@each_node
def precise_time(node: exp.Expr) -> exp.Expr:
    """DateTime has no fractions of a second, starts in 1970, and uses the server's zone."""
    if isinstance(node, exp.DataType) and node.this == exp.DataType.Type.TIMESTAMP:
        return exp.DataType.build("Nullable(DateTime64(6, 'UTC'))", dialect="clickhouse")
    return node


@each_node
def signed_count(node: exp.Expr) -> exp.Expr:
    """A count is unsigned, and an unsigned and a negative number have no common type."""
    function = node.this if isinstance(node, exp.Filter | exp.Window) else node
    return exp.cast(node, "bigint") if isinstance(function, exp.Count) else node


def named_outputs(select: exp.Query) -> None:
    """The output `a.x` of a join is named `a.x` in ClickHouse and `x` in every other engine."""
    for inner in list(select.find_all(exp.Select)):
        for output in inner.selects:
            if isinstance(output, exp.Column) and output.table and not output.is_star:
                output.replace(exp.alias_(output.copy(), output.this.copy()))


CLICKHOUSE = Engine(
    name="clickhouse",
    dialect="clickhouse",
    capabilities=COMMON - {Capability.RANGES, Capability.PERCENTILES, Capability.APPROXIMATE_PERCENTILES},
    rewrites=(asof_to_join, precise_time, signed_count, named_outputs),
    model_config=(("query_settings", json.dumps(dict.fromkeys(SETTINGS, 1))),),
    address=("host", "port"),
    create_table="{}\nENGINE = MergeTree\nORDER BY tuple()",
    feast=FeastStore("ClickhouseSource", f"{CONTRIB}.clickhouse_offline_store.clickhouse_source", in_sql, _store),
)
