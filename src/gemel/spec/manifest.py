"""What a dbt project defines, as frozen values in one form, whichever dbt version and YAML spec wrote it.

Text that a user wrote as SQL or as a filter template stays text here; binding it is the compiler's work.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from gemel.spec.time import Window

EntityType = Literal["primary", "unique", "foreign", "natural"]
Aggregation = Literal["sum", "min", "max", "count", "count_distinct", "average", "percentile"]
PeriodAgg = Literal["first", "last", "average"]


@dataclass(frozen=True, slots=True)
class Relation:
    """Where a dbt model's rows are. `node` is dbt's name for it (`flights`), what `ref()` takes."""

    name: str
    schema: str | None = None
    database: str | None = None
    node: str | None = None


@dataclass(frozen=True, slots=True)
class Entity:
    name: str
    type: EntityType
    expr: str
    label: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Dimension:
    """A column to group or filter by. A time dimension has a `grain`, the finest it can be asked at."""

    name: str
    expr: str
    grain: str | None = None
    is_partition: bool = False
    validity: Literal["start", "end"] | None = None
    label: str | None = None
    description: str | None = None

    @property
    def is_time(self) -> bool:
        return self.grain is not None


@dataclass(frozen=True, slots=True)
class Percentile:
    fraction: float
    discrete: bool = False
    approximate: bool = False


@dataclass(frozen=True, slots=True)
class NonAdditive:
    """A measure that does not add up over `dimension`: only the rows at its boundary count."""

    dimension: str
    choice: Literal["min", "max"]
    groupings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measure:
    """One aggregate over the rows of one semantic model.

    `sum_boolean` is read as the sum of true flags and `median` as the continuous percentile at 0.5, as
    MetricFlow does, so seven aggregates are left. A count of no rows at all is no value (NULL), as for a sum:
    dbt's `count` is MetricFlow's sum of not-null flags. A sum of the constant 1 is read as a count of 1.
    """

    name: str
    model: str
    agg: Aggregation
    expr: str
    time_dimension: str
    percentile: Percentile | None = None
    non_additive: NonAdditive | None = None
    label: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class SemanticModel:
    name: str
    relation: Relation
    primary_entity: str | None
    entities: tuple[Entity, ...]
    dimensions: tuple[Dimension, ...]
    default_time_dimension: str | None = None
    label: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class MetricInput:
    """A metric as another metric uses it: under an alias, filtered, or moved in time."""

    name: str
    alias: str | None = None
    filters: tuple[str, ...] = ()
    offset_window: Window | None = None
    offset_to_grain: str | None = None

    @property
    def handle(self) -> str:
        """The name by which the outer metric's expression calls it."""
        return self.alias or self.name


@dataclass(frozen=True, slots=True)
class Simple:
    measure: Measure
    fill_nulls_with: int | None = None
    join_to_timespine: bool = False


@dataclass(frozen=True, slots=True)
class Ratio:
    numerator: MetricInput
    denominator: MetricInput


@dataclass(frozen=True, slots=True)
class Derived:
    expr: str
    inputs: tuple[MetricInput, ...]


@dataclass(frozen=True, slots=True)
class Cumulative:
    """A metric accumulated over `window`, since the start of `grain_to_date`, or (neither) over all time."""

    input: MetricInput
    window: Window | None = None
    grain_to_date: str | None = None
    period_agg: PeriodAgg = "first"


@dataclass(frozen=True, slots=True)
class Conversion:
    """How many base events of an entity led to a conversion event within `window` (None: ever after)."""

    base: MetricInput
    conversion: MetricInput
    entity: str
    calculation: Literal["conversions", "conversion_rate"] = "conversion_rate"
    window: Window | None = None
    constant_properties: tuple[tuple[str, str], ...] = ()


MetricDefinition = Simple | Ratio | Derived | Cumulative | Conversion


@dataclass(frozen=True, slots=True)
class Metric:
    """A name, what it means, and the filters that hold for every row that it counts.

    `private` marks what was made while reading (a cumulative metric's bare measure, say): never listed,
    never asked for by name.
    """

    name: str
    definition: MetricDefinition
    filters: tuple[str, ...] = ()
    time_granularity: str | None = None
    private: bool = False
    label: str | None = None
    description: str | None = None
    meta: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def type(self) -> str:
        """The word dbt uses for it: `simple`, `ratio`, `derived`, `cumulative` or `conversion`."""
        return type(self.definition).__name__.lower()


@dataclass(frozen=True, slots=True)
class TimeSpine:
    """A table with one row a `grain`; `custom` pairs the custom grains' names with their columns."""

    relation: Relation
    column: str
    grain: str
    custom: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Export:
    name: str
    kind: Literal["table", "view"]
    schema: str | None = None
    alias: str | None = None
    database: str | None = None


@dataclass(frozen=True, slots=True)
class SavedQuery:
    name: str
    metrics: tuple[str, ...]
    group_by: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    order_by: tuple[str, ...] = ()
    limit: int | None = None
    exports: tuple[Export, ...] = ()
    label: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    models: tuple[SemanticModel, ...]
    metrics: Sequence[Metric]
    saved_queries: tuple[SavedQuery, ...] = ()
    time_spines: tuple[TimeSpine, ...] = ()
