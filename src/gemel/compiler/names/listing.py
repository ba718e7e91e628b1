"""The items that metrics can be grouped by."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gemel.compiler.names.graph import METRIC_TIME, Graph
from gemel.spec.manifest import Dimension, Entity
from gemel.spec.time import GRAINS


@dataclass(frozen=True, slots=True)
class Listed:
    """Something to group by. `type` is `categorical`, `time` or an entity's type; `grain` is a time's finest grain.
    `metrics` are all that can be grouped by it, sorted.

    [each.name for each in project.dimensions(["revenue"])]
    """

    name: str
    type: str
    grain: str | None = None
    label: str | None = None
    description: str | None = None
    metrics: tuple[str, ...] = ()

    @property
    def is_dimension(self) -> bool:
        """Whether it is a dimension rather than an entity."""
        return self.type in ("categorical", "time")


def list_items(graph: Graph, metrics: Sequence[str]) -> list[Listed]:
    """What these metrics can all be grouped by, sorted by name; without metrics, all dimensions and entities.

    Raises UnknownNameError (G201).
    """
    measures = [measure for name in metrics for measure in graph.measures(graph.metric(name))]
    if metrics:
        common = graph.common_attributes(measure.model for measure in measures)
    else:
        common = {key: value for home in graph.models for key, value in graph.attributes(home, 0).items()}
    items = [_describe("__".join(segments), attribute.element) for segments, attribute in common.items()]
    grains = [graph.time_dimension(measure).grain or "day" for measure in measures]
    grain = max(grains, key=GRAINS.index) if grains else "day"
    items.append(Listed(METRIC_TIME, "time", grain=grain, description="each metric's own time"))
    return sorted(items, key=lambda each: each.name)


def with_metrics(graph: Graph, items: Sequence[Listed]) -> list[Listed]:
    """The items, each with the metrics that it can be asked with."""
    by_models: dict[frozenset[str], list[str]] = {}
    for metric in graph.metrics.values():
        if not metric.private:
            by_models.setdefault(frozenset(each.model for each in graph.measures(metric)), []).append(metric.name)
    reached = {models: {"__".join(each) for each in graph.common_attributes(models)} for models in by_models}
    return [
        replace(
            item,
            metrics=tuple(
                sorted(
                    name
                    for models, names in by_models.items()
                    if item.name in reached[models] or item.name == METRIC_TIME
                    for name in names
                )
            ),
        )
        for item in items
    ]


def _describe(name: str, element: Dimension | Entity) -> Listed:
    match element:
        case Dimension():
            kind = "time" if element.is_time else "categorical"
            return Listed(name, kind, element.grain, element.label, element.description)
        case Entity():
            return Listed(name, element.type, None, element.label, element.description)
