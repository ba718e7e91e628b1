"""Columns of tables that are times with a zone: in which hour and day they are depends on the zone of the session.

gemel queries in UTC. dbt builds a table in the zone of its session, and each reader of a view has its own.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from gemel.compiler.compiled import Read, compile_select, reads
from gemel.compiler.plan.algebra import Plan
from gemel.compiler.sql import dialects
from gemel.engines.engine import Capability, Engine
from gemel.run import Describe
from gemel.spec.manifest import Relation

ZONED = ("TIMESTAMP WITH TIME ZONE", "TIME WITH TIME ZONE")
TOGETHER = 50
"""How many relations an engine is asked about at once, if it can be."""


@dataclass(slots=True)
class ZonedColumns:
    """The columns of existing relations that have a zone. Each relation is described once."""

    describe: Describe
    catalogs: frozenset[str] | None
    engine: Engine
    _columns: dict[Relation, dict[str, str]] = field(default_factory=dict)

    def look_up(self, relations: Iterable[Relation]) -> None:
        """Describe the relations that are not described yet. Most have no such column, so one query can do for many."""
        named = dialects.named(self.catalogs, home=self.engine)
        new = [relation for relation in dict.fromkeys(relations) if relation not in self._columns]
        many = TOGETHER if self.engine.has(Capability.WIDE_DESCRIBE) else 1
        for first in range(0, len(new), many):
            some = new[first : first + many]
            if len(some) > 1 and not self._zoned(_side_by_side([named(relation) for relation in some])):
                self._columns |= {relation: {} for relation in some}
                continue
            for relation in some:
                self._columns[relation] = self._zoned(exp.select("*").from_(named(relation)))

    def _zoned(self, select: exp.Select) -> dict[str, str]:
        """The columns of a SELECT that have a zone, by their names in lower case."""
        described = self.describe(compile_select(select, self.engine.dialect))
        return {name.lower(): name for name, type_ in described if type_ in ZONED}

    def read(self, plan: Plan, relations: Iterable[Relation]) -> Iterator[tuple[Read, str]]:
        """The places where the SQL of a plan, which reads the relations, reads such a column: with `sales.sold_at`."""
        relations = [*relations]
        self.look_up(relations)
        if not any(self._columns[relation] for relation in relations):
            return
        for read in reads(plan, self.engine.dialect):
            column = self._columns[read.relation].get(read.column.lower())
            if column:
                yield read, f"{read.relation.name}.{column}"


def _side_by_side(tables: Sequence[exp.Table]) -> exp.Select:
    first, *others = (exp.alias_(table, f"t{number}", table=True) for number, table in enumerate(tables))
    select = exp.select("*").from_(first, copy=False)
    select.set("joins", [exp.Join(this=other, kind="CROSS") for other in others])
    return select
