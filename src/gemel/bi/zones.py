"""Times with a zone in a generated model: which day and month they are in, the zone of a session decides.

gemel asks in UTC. dbt builds a table in whatever zone its session has, and each reader of a view has one of its own.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from gemel.bi.models import BiModel
from gemel.compiler.plan import rewrites
from gemel.compiler.sql import dialects, lowering
from gemel.errors import WarehouseError
from gemel.spec.manifest import Relation

Describe = Callable[[str], tuple[tuple[str, str], ...]]
"""SQL to the names and types of its columns, in DuckDB's words. Raises WarehouseError."""

_ZONED = ("TIMESTAMP WITH TIME ZONE", "TIME WITH TIME ZONE")
_CUTS = (exp.TimestampTrunc, exp.TsOrDsToDate, exp.Extract, exp.Cast)


@dataclass(slots=True)
class Zones:
    """Which columns of the tables that can be asked have a zone. Each table is asked once."""

    describe: Describe
    catalogs: frozenset[str] | None
    dialect: str
    _columns: dict[Relation, frozenset[str]] = field(default_factory=dict)

    def cut(self, model: BiModel, types: Mapping[str, str]) -> str | None:
        """A time with a zone of which the model takes the day, the hour or the like: `sales.sold_at`; None without."""
        computed = [each.name for each in model.columns if each.cut and types.get(each.name) in _ZONED]
        return next(self._read(model), next(iter(computed), None))

    def _read(self, model: BiModel) -> Iterator[str]:
        relations: list[Relation] = []

        def named(relation: Relation) -> exp.Table:
            if relation not in relations:
                relations.append(relation)
            return exp.Table(this=exp.to_identifier(f"relation_{relations.index(relation)}", quoted=True))

        select = lowering.lower(rewrites.tidy(model.plan), named, ranges=dialects.has_ranges(self.dialect))
        places = {f"relation_{number}": relation for number, relation in enumerate(relations)}
        for table in select.find_all(exp.Table):
            relation = places.get(table.name)
            if relation is None or table.parent_select is None:
                continue
            zoned = self._zoned(relation)
            for read in table.parent_select.find_all(exp.Column) if zoned else ():
                is_own = read.table in ("", table.alias_or_name)
                if is_own and read.name.lower() in zoned and _is_cut(read):
                    yield f"{relation.name}.{read.name}"

    def _zoned(self, relation: Relation) -> frozenset[str]:
        if relation not in self._columns:
            table = dialects.named(self.catalogs)(relation).sql(self.dialect)
            try:
                told = self.describe(f"SELECT * FROM {table}")
            except WarehouseError:
                told = ()  # not built yet
            self._columns[relation] = frozenset(name.lower() for name, type_ in told if type_ in _ZONED)
        return self._columns[relation]


def _is_cut(read: exp.Column) -> bool:
    """Whether a time is taken apart as it is, and not after it was converted."""
    node: exp.Expr | None = read
    while node is not None and not isinstance(node, exp.Select):
        if isinstance(node.parent, exp.AtTimeZone):
            return False
        node = node.parent
        if isinstance(node, _CUTS):
            return True
    return False
