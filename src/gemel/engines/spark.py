"""Apache Spark."""

from sqlglot import exp

from gemel.engines.engine import COMMON, Capability, Engine
from gemel.engines.rewrites import asof_to_join, each_node
from gemel.engines.stores import CONTRIB, FeastStore, dotted


@each_node
def within_group(node: exp.Expr) -> exp.Expr:
    """`PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY x)`, by a name that sqlglot does not know: of the one that it knows
    it makes PERCENTILE_APPROX, another number."""
    if isinstance(node, exp.PercentileCont | exp.PercentileDisc) and node.args.get("expression"):
        # Values that are not there are passed over; as first they go unsaid, and Spark takes no more.
        order = exp.Order(expressions=[exp.Ordered(this=node.this, nulls_first=True)])
        function = exp.Anonymous(this=node.sql_name(), expressions=[node.expression])
        return exp.WithinGroup(this=function, expression=order)
    return node


SPARK = Engine(
    name="spark",
    dialect="spark",
    capabilities=COMMON | {Capability.SERIES, Capability.ZONED_TIMES},
    rewrites=(asof_to_join, within_group),
    feast=FeastStore(
        "SparkSource",
        f"{CONTRIB}.spark_offline_store.spark_source",
        dotted,
        # Spark's times have no zone of their own: they are shown by the session's.
        lambda _: {"type": "spark", "spark_conf": {"spark.sql.session.timeZone": "UTC"}},
    ),
)
