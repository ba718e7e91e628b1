"""What a dbt project defines, as frozen values in one form, whichever dbt version and YAML spec wrote it.

Text that a user wrote as SQL or as a filter template stays text here; binding it is the compiler's work.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gemel.spec.metrics import Measure, Metric

EntityType = Literal["primary", "unique", "foreign", "natural"]


@dataclass(frozen=True, slots=True)
class Relation:
    """Where a dbt model's rows are."""

    name: str
    schema: str | None = None
    database: str | None = None


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


class IndexedMetrics(Sequence[Metric]):
    """Metrics that can be looked up by name, each read when it is asked for."""

    by_name: Mapping[str, Metric]


@dataclass(frozen=True, slots=True)
class Manifest:
    models: tuple[SemanticModel, ...]
    metrics: Sequence[Metric]
    saved_queries: tuple[SavedQuery, ...] = ()
    time_spines: tuple[TimeSpine, ...] = ()

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Those that some metric is made of. dbt has no use for others."""
        found = (metric.definition.measure for metric in self.metrics)
        return tuple(dict.fromkeys(measure for measure in found if measure is not None))

    @property
    def metrics_by_name(self) -> Mapping[str, Metric]:
        """Those that are indexed are not read for it."""
        metrics = self.metrics
        return metrics.by_name if isinstance(metrics, IndexedMetrics) else {metric.name: metric for metric in metrics}
