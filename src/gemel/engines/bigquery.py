"""BigQuery."""

from sqlglot import exp

from gemel.engines.engine import Capability, Engine
from gemel.engines.rewrites import UNZONED, asof_to_join, day_to_moment, each_node, filter_to_case
from gemel.engines.stores import FEAST, FeastStore, Settings, TargetSettings, dotted


def _store(settings: TargetSettings) -> Settings:
    return {
        "type": "bigquery",
        "project_id": settings.plain("project", "database"),
        "dataset": settings.plain("dataset", "schema"),
        "location": settings.get("location"),
    }


@each_node
def counted_interval(node: exp.Expr) -> exp.Expr:
    """`INTERVAL 7 DAY`"""
    if isinstance(node, exp.Interval) and isinstance(node.this, exp.Literal) and node.this.is_string:
        node.set("this", exp.Literal.number(node.this.name))
    return node


@each_node
def same_zone(node: exp.Expr) -> exp.Expr:
    """A column is compared with a time only if both have a zone, or neither has."""
    if isinstance(node, exp.GT | exp.GTE | exp.LT | exp.LTE) and isinstance(node.this, exp.Column):
        other = node.expression.find(exp.Cast, exp.TimestampTrunc)
        if isinstance(other, exp.TimestampTrunc) or (other and other.is_type(*UNZONED)):
            node.set("this", exp.cast(node.this.copy(), exp.DataType.Type.TIMESTAMP))
    return node


def inline_windows(select: exp.Query) -> None:
    """Each named window where it is used."""
    for inner in list(select.find_all(exp.Select)):
        named = {window.name: window for window in inner.args.get("windows") or []}
        if not named:
            continue
        for window in list(inner.find_all(exp.Window)):
            used = named.get(window.alias)
            if used is not None and window is not used:
                parts = {k: v.copy() if isinstance(v, exp.Expr) else v for k, v in used.args.items() if k != "this"}
                parts["partition_by"] = [each.copy() for each in used.args.get("partition_by") or []]
                window.replace(exp.Window(this=window.this, **parts))
        inner.set("windows", None)


BIGQUERY = Engine(
    name="bigquery",
    dialect="bigquery",
    capabilities=frozenset(
        {
            Capability.FUNCTIONS,
            Capability.APPROXIMATE_PERCENTILES,
            Capability.ZONED_TIMES,
            Capability.ROUNDS_HALF_AWAY,
            Capability.LENGTH_OF_ALL,
        }
    ),
    rewrites=(asof_to_join, day_to_moment, counted_interval, same_zone, filter_to_case, inline_windows),
    create_table="{}",
    feast=FeastStore("BigQuerySource", FEAST, dotted, _store),
)
