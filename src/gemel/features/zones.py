"""Times with a zone in a feature table: the zone of dbt's session decides in which hour and day they are.

In New York a fact of 10:00 UTC would count from 05:00 on, hours before it happened. So a view that reads such a time
is refused, unless dbt's session is known to be in UTC or the time is converted where it is read.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from sqlglot import exp

from gemel.compiler.compiled import Compiled, compile_select, reads
from gemel.compiler.names.graph import Graph
from gemel.compiler.sql import dialects
from gemel.engines.duckdb import DIALECT
from gemel.engines.engine import Capability, Engine
from gemel.errors import BridgeError, GemelError
from gemel.features.bound import BoundView
from gemel.features.tables import Tables
from gemel.features.times import known_times
from gemel.run import Described
from gemel.spec.manifest import Relation

Describe = Callable[[Compiled], Described]

TOGETHER = 50

ZONED = ("TIMESTAMP WITH TIME ZONE", "TIME WITH TIME ZONE")


def check_zones(
    tables: Tables, views: Sequence[BoundView], describe: Describe, catalogs: frozenset[str] | None, engine: Engine
) -> Iterator[GemelError]:
    """G526 for each time that views, whose relations are all there, read with its zone."""
    read = {view.name: tables.reads(view) for view in views}
    relations = [*dict.fromkeys(relation for each in read.values() for relation in each)]
    columns = _with_zones(relations, describe, catalogs, engine)
    types: dict[tuple[Relation, str], str] = {}
    named = dialects.named(catalogs)

    def type_of(relation: Relation, value: exp.Expr) -> str:
        """Of something that is computed, asked once."""
        key = (relation, value.sql(DIALECT))
        if key not in types:
            table = exp.alias_(named(relation), exp.to_identifier(relation.name, quoted=True), table=True)
            query = exp.select(exp.alias_(value.copy(), "moment")).from_(table)
            [(_, types[key])] = describe(compile_select(query, engine.dialect))
        return types[key]

    for view in views:
        found: dict[str, None] = {}
        if any(columns[relation] for relation in read[view.name]):
            found |= dict.fromkeys(_unconverted(view, engine, columns))
        for relation, name, value in _computed(tables.graph, view):
            if type_of(relation, value) in ZONED:
                found[f"{relation.name}.{name}"] = None
        for fact in found:
            column = fact.rpartition(".")[2]
            yield BridgeError(
                "G526",
                f"feature view {view.name!r} reads {fact}, a time with a zone: its hour depends on the time zone of "
                "dbt's session, which is not known to be UTC",
                hint=f"write `{column} AT TIME ZONE 'UTC'` where it is read (`expr:`, or the dbt model), or "
                + engine.utc_hint,
                place=view.place,
            )


def _with_zones(
    relations: Sequence[Relation], describe: Describe, catalogs: frozenset[str] | None, engine: Engine
) -> dict[Relation, dict[str, str]]:
    """The columns of each relation that have a zone, by their names in lower case.

    An engine that can is asked of many at once, which mostly have none.
    """
    named, found = dialects.named(catalogs), dict[Relation, dict[str, str]]()
    many = TOGETHER if engine.has(Capability.WIDE_DESCRIBE) else 1
    for first in range(0, len(relations), many):
        some = relations[first : first + many]
        asked = [exp.alias_(named(relation), f"t{number}", table=True) for number, relation in enumerate(some)]
        together = exp.select("*").from_(asked[0], copy=False)
        for other in asked[1:]:
            together.append("joins", exp.Join(this=other, kind="CROSS"))
        if all(type_ not in ZONED for _, type_ in describe(compile_select(together, engine.dialect))):
            found |= {relation: {} for relation in some}
            continue
        for relation in some:
            described = describe(compile_select(exp.select("*").from_(named(relation)), engine.dialect))
            found[relation] = {name.lower(): name for name, type_ in described if type_ in ZONED}
    return found


def _unconverted(view: BoundView, engine: Engine, columns: Mapping[Relation, Mapping[str, str]]) -> Iterator[str]:
    """The columns with a zone that the SQL reads and does not convert: `sales.settled_at`."""
    for read in reads(view.plan, engine.dialect):
        column = columns[read.relation].get(read.column.lower())
        if column and read.within[:1] != (exp.AtTimeZone,):
            yield f"{read.relation.name}.{column}"


def _computed(graph: Graph, view: BoundView) -> Iterator[tuple[Relation, str, exp.Expr]]:
    """The times of facts that are no columns, and may get a zone where they are computed: `to_timestamp(seconds)`."""
    for (relation, name), value in known_times(graph, view).items():
        if not isinstance(value, exp.Column):
            yield relation, name, value
