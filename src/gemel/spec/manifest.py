"""The definitions of a dbt project as frozen values, in one form for all dbt versions and YAML specs.

SQL and filter templates that a user wrote stay text here; the compiler binds them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gemel.spec.metrics import Measure, Metric

EntityType = Literal["primary", "unique", "foreign", "natural"]


Part = tuple[str, bool]
"""A part of a table's name, and whether dbt quotes it."""


@dataclass(frozen=True, slots=True)
class Relation:
    """The table or view that holds a dbt model's rows.

    `written` is its name as dbt writes it in SQL (`relation_name`), for the warehouse in which dbt builds it; empty if
    dbt has not named it. It may lack the database: `("DBT_ME", False), ("Orders", True)`.
    """

    name: str
    schema: str | None = None
    database: str | None = None
    written: tuple[Part, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Entity:
    name: str
    type: EntityType
    expr: str
    label: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Dimension:
    """A column to group or filter by. A time dimension has a `grain`, its finest."""

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
    """A table with one row per `grain`; `custom` pairs the custom grains' names with their columns."""

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
    """Metrics that can be looked up by name, each read on access."""

    by_name: Mapping[str, Metric]


@dataclass(frozen=True, slots=True)
class Manifest:
    models: tuple[SemanticModel, ...]
    metrics: Sequence[Metric]
    saved_queries: tuple[SavedQuery, ...] = ()
    time_spines: tuple[TimeSpine, ...] = ()
    idle_measures: tuple[tuple[str, str], ...] = ()
    """The names of the measures that no metric uses, each with its semantic model's."""

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The measures that metrics use. dbt does not use any others."""
        measures = (metric.definition.measure for metric in self.metrics)
        return tuple(dict.fromkeys(measure for measure in measures if measure is not None))

    @property
    def metrics_by_name(self) -> Mapping[str, Metric]:
        """All metrics by name. Indexed metrics are not read for this."""
        metrics = self.metrics
        return metrics.by_name if isinstance(metrics, IndexedMetrics) else {metric.name: metric for metric in metrics}
