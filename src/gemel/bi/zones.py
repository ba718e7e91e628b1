"""Times with a zone in a generated model: their day and month depend on the zone of the session.

gemel queries in UTC. dbt builds a table in the zone of its session, and each reader of a view has its own.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from gemel.bi.models import BiModel
from gemel.compiler.compiled import Compiled, Read, compile_select, reads
from gemel.compiler.sql import dialects
from gemel.errors import WarehouseError
from gemel.run import Described
from gemel.spec.manifest import Relation

Describe = Callable[[Compiled], Described]
"""SQL to the names and types of its columns. Raises WarehouseError."""

_ZONED = ("TIMESTAMP WITH TIME ZONE", "TIME WITH TIME ZONE")
_CUTS = (exp.TimestampTrunc, exp.TsOrDsToDate, exp.Extract, exp.Cast)


@dataclass(slots=True)
class Zones:
    """Which columns of existing tables have a zone. Each table is described once."""

    describe: Describe
    catalogs: frozenset[str] | None
    dialect: str
    _columns: dict[Relation, frozenset[str]] = field(default_factory=dict)

    def cut(self, model: BiModel, relations: Iterable[Relation], types: Mapping[str, str]) -> str | None:
        """A time with a zone that the model truncates to a day, an hour or the like: `sales.sold_at`; None if there is
        none. `relations` are those that the model reads."""
        computed = [each.name for each in model.columns if each.cut and types.get(each.name) in _ZONED]
        read = self._read(model) if any([self._zoned(relation) for relation in relations]) else iter(())
        return next(read, next(iter(computed), None))

    def _read(self, model: BiModel) -> Iterator[str]:
        for read in reads(model.plan, self.dialect):
            if read.column.lower() in self._zoned(read.relation) and _is_cut(read):
                yield f"{read.relation.name}.{read.column}"

    def _zoned(self, relation: Relation) -> frozenset[str]:
        if relation not in self._columns:
            whole = exp.select("*").from_(dialects.named(self.catalogs)(relation))
            try:
                columns = self.describe(compile_select(whole, self.dialect))
            except WarehouseError:
                columns = ()  # not built yet
            self._columns[relation] = frozenset(name.lower() for name, type_ in columns if type_ in _ZONED)
        return self._columns[relation]


def _is_cut(read: Read) -> bool:
    """Whether a time is truncated without a prior conversion of its zone."""
    innermost = next((each for each in read.within if issubclass(each, (exp.AtTimeZone, *_CUTS))), None)
    return innermost is not None and not issubclass(innermost, exp.AtTimeZone)
