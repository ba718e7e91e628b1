"""Names that are reserved, or that two things share."""

from collections.abc import Iterator

from gemel.compiler.names.graph import METRIC_TIME, Graph
from gemel.errors import About, DefinitionError, GemelError
from gemel.spec.manifest import Dimension, Entity, SemanticModel
from gemel.spec.time import GRAINS


def reserved(graph: Graph) -> Iterator[GemelError]:
    """`metric_time` is the time of every metric."""
    uses = [About("metric", metric.name) for metric in graph.metrics.values() if metric.name == METRIC_TIME]
    for model in graph.models.values():
        for element in elements(model):
            if element.name == METRIC_TIME:
                uses.append(About("semantic_model", model.name, element.name))
    for about in uses:
        yield DefinitionError(
            "G140",
            f"{METRIC_TIME!r} is reserved for the time of metrics",
            hint="give it another name",
            about=about,
        )


def unqueryable(graph: Graph) -> Iterator[GemelError]:
    """`customer__day` means the customer by day, so no query can reach a dimension `day`."""
    for model in graph.models.values():
        for element in elements(model):
            is_grain = isinstance(element, Dimension) and element.name in (*GRAINS, *graph.custom_grains)
            if not is_grain and "__" not in element.name:
                continue
            reason = "is the name of a grain" if is_grain else "contains a double underscore, which separates names"
            yield DefinitionError(
                "G141",
                f"queries cannot name {element.name!r} of semantic model {model.name!r}: it {reason}",
                hint=f"give it another name, with `expr: {element.expr}`",
                about=About("semantic_model", model.name, element.name),
            )


def custom_grains(graph: Graph) -> Iterator[GemelError]:
    """A custom grain is identified by its name alone."""
    owners: dict[str, str] = {}
    for spine in graph.spines:
        for name, _ in spine.custom:
            about = About("time_spine", spine.relation.name)
            hint = "give it another name (`name:`), with its column (`column_name:`)"
            if name in GRAINS:
                yield DefinitionError(
                    "G142", f"custom granularity {name!r} has the name of a standard one", hint=hint, about=about
                )
            elif name in owners:
                spines = f"{owners[name]!r} and {spine.relation.name!r}"
                message = f"custom granularity {name!r} is defined by the time spines {spines}"
                yield DefinitionError("G142", message, hint=hint, about=about)
            owners.setdefault(name, spine.relation.name)


def shared_with_a_metric(graph: Graph) -> Iterator[GemelError]:
    """Columns of a result have the names of the query: metric `visit` by entity `visit` would give two of one name."""
    owners: dict[str, str] = {}
    for model in graph.models.values():
        for entity in model.entities:
            owners.setdefault(entity.name, f"entity {entity.name!r} of semantic model {model.name!r}")
        for prefix in graph.ways.prefixes(model.name):
            for dimension in model.dimensions:
                owner = f"dimension {dimension.name!r} of semantic model {model.name!r}"
                owners.setdefault(f"{prefix}__{dimension.name}", owner)
    for metric in graph.metrics.values():
        if metric.name in owners and not metric.private:
            yield DefinitionError(
                "G150",
                f"metric {metric.name!r} has the name of {owners[metric.name]}: a query cannot use both",
                hint="give one of them another name",
                about=About("metric", metric.name),
                severity="warning",
            )


def elements(model: SemanticModel) -> tuple[Entity | Dimension, ...]:
    return (*model.entities, *model.dimensions)
