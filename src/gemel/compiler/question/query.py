"""A question as it was asked: names and texts, nothing looked up yet. `parsing` reads it."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Literal

from gemel.errors import About
from gemel.spec.time import Window, windowed_name

ItemKind = Literal["any", "dimension", "time", "entity"]


@dataclass(frozen=True, slots=True)
class Item:
    """A dimension, time dimension or entity, as the question names it.

    `segments` are the parts between double underscores: `("origin", "name")`, `("metric_time", "month")`. Only the
    graph can decide whether the last one is a grain. `grain` and `part` are those written apart from the name.
    """

    segments: tuple[str, ...]
    grain: str | None = None
    part: str | None = None
    kind: ItemKind = "any"
    alias: str | None = None
    metric: "MetricItem | None" = None

    def __str__(self) -> str:
        name = "__".join(self.segments)
        if self.grain:
            name += f"__{self.grain}"
        if self.part:
            name += f"__extract_{self.part}"
        return name


@dataclass(frozen=True, slots=True)
class MetricItem:
    """A metric computed for each entity, to filter or group facts by: `Metric('orders', ['customer'])`."""

    metric: str
    group_by: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Over:
    """How far back from each moment a metric looks: over a window, to the start of a grain, or (neither) always."""

    window: Window | None = None
    grain_to_date: str | None = None

    def named(self, metric: str) -> str:
        """`flights_7d`, `flights_month_to_date`, `flights_all`."""
        if self.grain_to_date:
            return f"{metric}_{self.grain_to_date}_to_date"
        return windowed_name(metric, self.window)


@dataclass(frozen=True, slots=True)
class QueryMetric:
    """A metric as its definition says, or `over` some time before each moment: `flights[7 days]`."""

    name: str
    alias: str | None = None
    over: Over | None = None

    @property
    def column(self) -> str:
        return self.alias or (self.over.named(self.name) if self.over else self.name)


@dataclass(frozen=True, slots=True)
class Order:
    """`key` is an item of the query, or the name or alias of one of its metrics."""

    key: Item
    descending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Metrics by group-by items. `where` filters rows, `having` filters the result; `start` and `end` are inclusive.

    `trusted` are filters on rows in the warehouse's own words, which only the project's owner may write; `own` are
    those of the saved query `about`.

    `totals` adds one row over all groups, in which column `is_total` is true.
    """

    metrics: tuple[QueryMetric, ...] = ()
    group_by: tuple[Item, ...] = ()
    where: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    having: tuple[str, ...] = ()
    start: dt.datetime | None = None
    end: dt.datetime | None = None
    order_by: tuple[Order, ...] = ()
    limit: int | None = None
    min_max_only: bool = False
    totals: bool = False
    about: About | None = field(default=None, compare=False)
