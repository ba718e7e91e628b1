"""What gemel has to know of a kind of database. Each has a value, in a file of its own beside this one."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gemel.engines.rewrites import Rewrite, asof_to_join
from gemel.engines.stores import FeastStore

if TYPE_CHECKING:
    from gemel.dbt.profile import Target
    from gemel.engines.connections.opening import Warehouse


class Capability(Enum):
    """A fact about an engine on which something depends besides its own rewrites."""

    RANGES = "window frames are as long as an interval; elsewhere facts are joined to the moments that see them"
    ISODOW = "EXTRACT has the day of the week, from 1 for Monday"
    MONDAY_WEEKS = "a time that is truncated to its week is a Monday"
    SERIES = "a series of times is generated, for a feature at every step"
    PERCENTILES = "exact percentiles are aggregates"
    APPROXIMATE_PERCENTILES = "approximate percentiles are aggregates"
    ROWS = "several columns are one value: (a, b)"
    UPPER_CASE_NAMES = "a name without quotes is kept in upper case, and Feast asks for a name as it is"
    LOOKBACK = "dbt removes rows and makes them again in one transaction, and our tests run it"
    ERROR = "error('text') ends a statement, and only where the condition before it holds"
    WIDE_DESCRIBE = "many tables are described by one question, which costs a fifth of one question for each"
    COPIED = "Feast reads a copy of each feature table, as Parquet"
    ZONED_TIMES = "Feast compares times that have a zone, and a time without one is of the session's"
    ZONED_MOMENTS = "the same of a row's own moments; sessions have any zone, and UTC is named: AT TIME ZONE 'UTC'"


COMMON = frozenset(
    {
        Capability.RANGES,
        Capability.MONDAY_WEEKS,
        Capability.PERCENTILES,
        Capability.APPROXIMATE_PERCENTILES,
    }
)
"""What most engines can, and what is taken to be so of an engine that has no value here."""


@dataclass(frozen=True, slots=True)
class Engine:
    """One kind of database.

    `name` is dbt's, of its adapter; `dialect` is sqlglot's, of its SQL.
    `rewrites` make a lowered SELECT one that the engine takes, in this order.
    `longest_name` is in bytes. `unscaled_types` are those that dbt's catalog lists without their scale, so that their
    values may have fractions. `model_config` is what the dbt config of a feature table has besides, Python by name.
    `address` names the settings of dbt's target that tell the database from others, for OpenLineage.
    `utc_hint` says how dbt's sessions are kept in UTC.

    These take a target of dbt's profile and the project's folder. `connect` opens the database; None where gemel only
    writes for it. `uri` names it for SQLAlchemy, without a password. `read_only` are settings with which dbt can only
    read it, or another file instead; None where there are none.
    """

    name: str
    dialect: str
    capabilities: frozenset[Capability] = COMMON
    rewrites: tuple[Rewrite, ...] = (asof_to_join,)
    longest_name: int | None = None
    unscaled_types: frozenset[str] = frozenset()
    model_config: tuple[tuple[str, str], ...] = ()
    address: tuple[str, ...] = ()
    feast: FeastStore | None = None
    utc_hint: str = "have dbt's sessions start in UTC"
    connect: "Callable[[Target, Path], Warehouse] | None" = None
    uri: "Callable[[Target, Path], str] | None" = None
    read_only: "Callable[[Target, Path, str | Path | None], dict[str, Any]] | None" = None

    def has(self, capability: Capability) -> bool:
        return capability in self.capabilities
