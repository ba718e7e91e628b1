"""What gemel must know about a kind of database. Each engine is one value, in a file of its own beside this one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from gemel.engines.rewrites import Rewrite, asof_to_join
from gemel.engines.stores import FeastStore

if TYPE_CHECKING:
    from gemel.dbt.profile import Target
    from gemel.engines.connections.opening import Warehouse


class Capability(Enum):
    """A fact about an engine that matters outside its own rewrites."""

    RANGES = "window frames take an interval as their length; elsewhere facts are joined to the moments that see them"
    ISODOW = "EXTRACT returns the day of the week, with 1 for Monday"
    MONDAY_WEEKS = "a time that is truncated to its week is a Monday"
    SERIES = "a series of times can be generated, for a feature at every step"
    PERCENTILES = "exact percentiles are aggregates"
    APPROXIMATE_PERCENTILES = "approximate percentiles are aggregates"
    FUNCTIONS = "questions may call the functions that engines spell alike; elsewhere their texts are bytes, say"
    ROWS = "several columns can form one value: (a, b)"
    UPPER_CASE_NAMES = "an unquoted name is stored in upper case, and Feast quotes names as they are written"
    LOOKBACK = "dbt deletes rows and inserts them again in one transaction, and our tests run it"
    ERROR = "error('text') ends a statement, but only where the condition before it holds"
    GREATEST_OF_SOME = "GREATEST and LEAST ignore NULLs; elsewhere one NULL makes the result NULL"
    ROUNDS_HALF_AWAY = "ROUND of a floating-point half is away from zero: 0.5 is 1, and 2.5 is 3"
    CASTS_HALF_TO_EVEN = (
        "a floating-point half that is cast to a whole number becomes the even one: 0.5 is 0, and 1.5 is 2"
    )
    LENGTH_OF_ALL = "LENGTH counts characters, also blanks at the end"
    WIDE_DESCRIBE = "one query describes many tables, at a fifth of the cost of a query per table"
    ROUNDS = "a time with nanoseconds is rounded to microseconds before it is truncated"
    COPIED = "Feast reads a Parquet copy of each feature table"
    ZONED_TIMES = "Feast compares times with a zone, and a time without one is in the session's zone"
    CREATES_IN_TURN = "a table cannot be created while another transaction creates it"
    ZONED_MOMENTS = "the same for a row's own moments; sessions may have any zone, so UTC is named: AT TIME ZONE 'UTC'"


COMMON = frozenset(
    {
        Capability.RANGES,
        Capability.MONDAY_WEEKS,
        Capability.PERCENTILES,
        Capability.APPROXIMATE_PERCENTILES,
        Capability.LENGTH_OF_ALL,
    }
)
"""What most engines can do; assumed for an engine that has no value here."""


@dataclass(frozen=True, slots=True)
class RowHash:
    """The hash of some values, of 64 bits, as an expression; rows of other values or types have another.

    `sum_type` is the type of a sum of hashes, in the engine's words.
    """

    of: Callable[[Sequence[exp.Expr]], exp.Expr]
    sum_type: str


@dataclass(frozen=True, slots=True)
class Engine:
    """One kind of database.

    `name` is the name of dbt's adapter, `dialect` sqlglot's name of the SQL.
    `rewrites` adapt a lowered SELECT to the engine, in this order.
    `longest_name` is in bytes. `unscaled_types` are listed in dbt's catalog without their scale: their values may have
    fractions. `model_config` is added to the dbt config of a feature table, as Python text by name.
    `address` names the settings of dbt's target that identify the database, for OpenLineage.
    `row_hash` finds rows that have changed, where the engine has LOOKBACK. `utc_hint` says how to keep dbt's sessions
    in UTC. `create_table` is how a hook of a dbt model creates a table that another may be creating: `{}` stands for a
    CREATE TABLE IF NOT EXISTS with names and types. None where we know of no such statement; what builds the models is
    then not recorded.

    These take a target of dbt's profile and the project's folder. `connect` opens the database; None where gemel only
    writes SQL for it. `uri` is SQLAlchemy's URI without a password. `read_only` returns settings that let dbt read the
    database, or another file instead, and never write; None where the engine has no such settings.
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
    row_hash: RowHash | None = None
    utc_hint: str = "have dbt's sessions start in UTC"
    create_table: str | None = None
    connect: "Callable[[Target, Path], Warehouse] | None" = None
    uri: "Callable[[Target, Path], str] | None" = None
    read_only: "Callable[[Target, Path, str | Path | None], dict[str, Any]] | None" = None

    def has(self, capability: Capability) -> bool:
        return capability in self.capabilities
