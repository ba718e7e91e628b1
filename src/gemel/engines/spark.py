"""Apache Spark."""

from sqlglot import exp

from gemel.engines.engine import COMMON, Capability, Engine
from gemel.engines.rewrites import asof_to_join, each_node
from gemel.engines.stores import CONTRIB, FeastStore, dotted


@each_node
def within_group(node: exp.Expr) -> exp.Expr:
    """`PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY x)` as an anonymous function: sqlglot would write
    PERCENTILE_APPROX, which returns another number."""
    if isinstance(node, exp.PercentileCont | exp.PercentileDisc) and node.args.get("expression"):
        # NULLs are ignored. NULLS FIRST is Spark's default, so sqlglot omits it; Spark accepts no null ordering here.
        order = exp.Order(expressions=[exp.Ordered(this=node.this, nulls_first=True)])
        function = exp.Anonymous(this=node.sql_name(), expressions=[node.expression])
        return exp.WithinGroup(this=function, expression=order)
    return node


SPARK = Engine(
    name="spark",
    dialect="spark",
    capabilities=COMMON
    | {
        Capability.FUNCTIONS,
        Capability.SERIES,
        Capability.ZONED_TIMES,
        Capability.GREATEST_OF_SOME,
        Capability.ROUNDS_HALF_AWAY,
    },
    rewrites=(asof_to_join, within_group),
    create_table="{}\nUSING parquet",
    feast=FeastStore(
        "SparkSource",
        f"{CONTRIB}.spark_offline_store.spark_source",
        dotted,
        # Spark's times have no zone of their own: they are shown in the session's.
        lambda _: {"type": "spark", "spark_conf": {"spark.sql.session.timeZone": "UTC"}},
    ),
)
