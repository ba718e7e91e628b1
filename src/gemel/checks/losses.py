"""What stands in the YAML and not in the manifest that dbt made of it. `docs/specs.md` has all that dbt loses."""

from collections.abc import Iterator

from gemel.compiler.names.graph import Graph
from gemel.errors import About, DefinitionError, GemelError
from gemel.spec.places import Places


def fills(graph: Graph, places: Places) -> Iterator[GemelError]:
    """dbt-core 1.12 loses `fill_nulls_with` of the newer YAML: what should be 0 is NULL."""
    for name, place in places.metrics_that_say("fill_nulls_with").items():
        metric = graph.metrics.get(name)
        if metric and metric.definition.measure and metric.definition.fill_nulls_with is None:
            yield DefinitionError(
                "G158",
                f"metric {name!r} says fill_nulls_with, and dbt left it out of its manifest: nothing is filled",
                hint=f"use COALESCE({name}, 0) in a derived metric, or the legacy YAML",
                place=place,
                about=About("metric", name),
                severity="warning",
            )
