"""Times with nanoseconds, on an engine that rounds them to microseconds before it truncates them.

DuckDB groups 23:59:59.999999999 under the next day, and compares it as a time of its own day: a fact would be counted
under a day in which no filter finds it. SQL that truncates times is refused if a row has such a time.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp

from gemel.compiler.compiled import Compiled, compile_select
from gemel.compiler.sql.lowering import Tables
from gemel.engines.duckdb import DIALECT
from gemel.errors import WarehouseError
from gemel.spec.manifest import Relation
from gemel.spec.time import GRAINS

_TYPE = "TIMESTAMP_NS"
_COMPUTED = re.compile(r"\bMAKE_TIMESTAMP_NS\(|(?:::|\bAS )\s*TIMESTAMP_NS\b(?=\)| |$)", re.IGNORECASE)
_UNROUNDED = re.compile(r"\bEPOCH_NS\([^()]*\)", re.IGNORECASE)
_CUTS = re.compile(r"\bDATE_TRUNC\(\s*'(\w+)'|\b(?:EXTRACT|DATE_PART)\(|(?<!') AS DATE\)|::\s*DATE\b", re.IGNORECASE)


@dataclass(slots=True)
class Rounding:
    """Which columns have nanoseconds. Each table is described once; its times are looked at for each query."""

    describe: Callable[[str], Sequence[tuple[str, str]]]
    rows: Callable[[str], Sequence[tuple[Any, ...]]]
    tables: Tables
    _columns: dict[Relation, tuple[str, ...]] = field(default_factory=dict)

    def check(self, compiled: Compiled) -> None:
        """Raises WarehouseError (G409) if the SQL would show a time in another period than its own."""
        for refusal in self.refusals(compiled):
            raise refusal

    def refusals(self, compiled: Compiled) -> Iterator[WarehouseError]:
        # First what needs no database: most queries truncate nothing, and none of their tables has to be described.
        if not compiled.relations or (unit := _finest_cut(compiled.sql)) is None:
            return
        finer = [(relation, name) for relation in compiled.relations for name in self._finer(relation)]
        computed = _COMPUTED.search(compiled.sql)
        if computed:
            yield WarehouseError(
                "G409",
                f"a time with nanoseconds ({computed[0].strip()} …) is truncated to its {unit}: DuckDB rounds it "
                f"before, so that the last half microsecond is in the next {unit}",
                hint="make a time with microseconds, such as make_timestamp(nanoseconds // 1000)",
            )
        read = _UNROUNDED.sub("", compiled.sql)
        for relation, name in finer:
            if re.search(rf"\b{re.escape(name)}\b", read) and self._is_rounded(relation, name, unit):
                yield WarehouseError(
                    "G409",
                    f"{relation.name}.{name} has a time in the last half microsecond of its {unit}: DuckDB rounds its "
                    f"nanoseconds before it truncates it, which would put it into the next {unit}",
                    hint="keep microseconds where it is read (`expr:`, or the dbt model): "
                    f"make_timestamp(epoch_ns({name}) // 1000)",
                )

    def forget(self) -> None:
        """Describe the tables again: another program may have built them anew."""
        self._columns.clear()

    def _finer(self, relation: Relation) -> tuple[str, ...]:
        columns = self._columns.get(relation)
        if columns is None:  # another thread may forget them meanwhile
            whole = exp.select("*").from_(self.tables(relation))
            try:
                described = self.describe(compile_select(whole, DIALECT).sql)
            except WarehouseError:  # the query itself says what is wrong with the table
                return ()
            columns = tuple(name for name, kind in described if kind == _TYPE)
            self._columns[relation] = columns
        return columns

    def _is_rounded(self, relation: Relation, name: str, unit: str) -> bool:
        """Whether the end of a period is nearer to one of the times than the last microsecond before it."""
        time = exp.column(exp.to_identifier(name, quoted=True))
        later = exp.GT(this=exp.TimestampTrunc(this=time, unit=exp.var(unit.upper())), expression=time.copy())
        found = exp.select("1").from_(self.tables(relation)).where(later).limit(1)
        return bool(self.rows(compile_select(found, DIALECT).sql))


def _finest_cut(sql: str) -> str | None:
    """The finest grain to which the SQL truncates a time; None if it truncates none."""
    units = [(match[1] or "day").lower() for match in _CUTS.finditer(sql)]
    return min((unit for unit in units if unit in GRAINS), key=GRAINS.index, default=None)
