"""Times with a zone in a feature table: their hour and day depend on the time zone of dbt's session.

In New York a fact of 10:00 UTC would count from 05:00 on, hours before it happened. So a view that reads such a time
is refused, unless dbt's session is certainly in UTC or the time is converted where it is read.
"""

from collections.abc import Iterator, Sequence

from sqlglot import exp

from gemel.compiler.compiled import compile_select
from gemel.compiler.names.graph import Graph
from gemel.compiler.sql import dialects
from gemel.engines.duckdb import DIALECT
from gemel.engines.engine import Engine
from gemel.errors import BridgeError, GemelError
from gemel.features.bound import BoundView
from gemel.features.tables import Tables
from gemel.features.times import known_times
from gemel.run import Describe
from gemel.spec.manifest import Relation
from gemel.zoned_columns import ZONED, ZonedColumns


def check_zones(
    tables: Tables, views: Sequence[BoundView], describe: Describe, catalogs: frozenset[str] | None, engine: Engine
) -> Iterator[GemelError]:
    """G526 for each time that views, whose relations are all there, read with its zone."""
    read = {view.name: tables.relations(view) for view in views}
    zoned = ZonedColumns(describe, catalogs, engine)
    zoned.look_up(relation for each in read.values() for relation in each)
    types: dict[tuple[Relation, str], str] = {}
    named = dialects.named(catalogs, home=engine)

    def type_of(relation: Relation, value: exp.Expr) -> str:
        """The type of an expression, described once."""
        key = (relation, value.sql(DIALECT))
        if key not in types:
            table = exp.alias_(named(relation), exp.to_identifier(relation.name, quoted=True), table=True)
            query = exp.select(exp.alias_(value.copy(), "moment")).from_(table)
            [(_, types[key])] = describe(compile_select(query, engine.dialect))
        return types[key]

    for view in views:
        times = zoned.read(view.plan, read[view.name])
        facts = dict.fromkeys(name for place, name in times if place.within[:1] != (exp.AtTimeZone,))
        for relation, name, value in _computed(tables.graph, view):
            if type_of(relation, value) in ZONED:
                facts[f"{relation.name}.{name}"] = None
        for fact in facts:
            column = fact.rpartition(".")[2]
            yield BridgeError(
                "G526",
                f"feature view {view.name!r} reads {fact}, a time with a zone: its hour depends on the time zone of "
                "dbt's session, which is not known to be UTC",
                hint=f"write `{column} AT TIME ZONE 'UTC'` where it is read (`expr:`, or the dbt model), or "
                + engine.utc_hint,
                place=view.place,
            )


def _computed(graph: Graph, view: BoundView) -> Iterator[tuple[Relation, str, exp.Expr]]:
    """The times of facts that are expressions, which can have a zone of their own: `to_timestamp(seconds)`."""
    for (relation, name), value in known_times(graph, view).items():
        if not isinstance(value, exp.Column):
            yield relation, name, value
