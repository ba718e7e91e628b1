"""Names that mean something else already, or two things at once."""

from collections.abc import Iterator

from gemel.compiler.names.graph import METRIC_TIME, Graph
from gemel.errors import About, DefinitionError, GemelError
from gemel.spec.manifest import Dimension, Entity, SemanticModel
from gemel.spec.time import GRAINS


def reserved(graph: Graph) -> Iterator[GemelError]:
    """`metric_time` is the time of every metric."""
    taken = [About("metric", metric.name) for metric in graph.metrics.values() if metric.name == METRIC_TIME]
    for model in graph.models.values():
        for element in elements(model):
            if element.name == METRIC_TIME:
                taken.append(About("semantic_model", model.name, element.name))
    for about in taken:
        yield DefinitionError(
            "G140",
            f"{METRIC_TIME!r} is the name of every metric's own time, and cannot be another's",
            hint="give it another name",
            about=about,
        )


def not_askable(graph: Graph) -> Iterator[GemelError]:
    """`customer__day` asks for a customer by day, so a dimension `day` is never reached."""
    for model in graph.models.values():
        for element in elements(model):
            is_grain = isinstance(element, Dimension) and element.name in (*GRAINS, *graph.custom_grains)
            if not is_grain and "__" not in element.name:
                continue
            why = "is the name of a grain" if is_grain else "holds a double underscore, which stands between names"
            yield DefinitionError(
                "G141",
                f"nothing can be asked by {element.name!r} of semantic model {model.name!r}: it {why}",
                hint=f"give it another name, and say `expr: {element.expr}`",
                about=About("semantic_model", model.name, element.name),
            )


def custom_grains(graph: Graph) -> Iterator[GemelError]:
    """A custom grain is known by its name alone."""
    seen: dict[str, str] = {}
    for spine in graph.spines:
        for name, _ in spine.custom:
            about = About("time_spine", spine.relation.name)
            hint = "give it another name (`name:`) and say which column it is (`column_name:`)"
            if name in GRAINS:
                yield DefinitionError("G142", f"custom granularity {name!r} is a standard one", hint=hint, about=about)
            elif name in seen:
                told = f"custom granularity {name!r} is defined by the time spines {seen[name]!r} and"
                yield DefinitionError("G142", f"{told} {spine.relation.name!r}", hint=hint, about=about)
            seen.setdefault(name, spine.relation.name)


def shared_with_a_metric(graph: Graph) -> Iterator[GemelError]:
    """Columns of a result are called after what was asked: metric `visit` by entity `visit` would be two of a name."""
    owners: dict[str, str] = {}
    for model in graph.models.values():
        for entity in model.entities:
            owners.setdefault(entity.name, f"entity {entity.name!r} of semantic model {model.name!r}")
        for prefix in graph.ways.prefixes(model.name):
            for dimension in model.dimensions:
                told = f"dimension {dimension.name!r} of semantic model {model.name!r}"
                owners.setdefault(f"{prefix}__{dimension.name}", told)
    for metric in graph.metrics.values():
        if metric.name in owners and not metric.private:
            yield DefinitionError(
                "G150",
                f"metric {metric.name!r} has the name of {owners[metric.name]}: they cannot be asked for together",
                hint="give one of them another name",
                about=About("metric", metric.name),
                severity="warning",
            )


def elements(model: SemanticModel) -> tuple[Entity | Dimension, ...]:
    return (*model.entities, *model.dimensions)
