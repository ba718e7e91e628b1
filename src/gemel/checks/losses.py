"""Settings in the YAML that dbt drops from its manifest. `docs/specs.md` lists all of them."""

from collections.abc import Iterator

from gemel.compiler.names.graph import Graph
from gemel.errors import About, DefinitionError, GemelError
from gemel.spec.places import Places


def fills(graph: Graph, places: Places) -> Iterator[GemelError]:
    """dbt-core 1.12 drops `fill_nulls_with` of the newer YAML: values that should be 0 are NULL."""
    for name, place in places.find_metrics_with_key("fill_nulls_with").items():
        metric = graph.metrics.get(name)
        if metric and metric.definition.measure and metric.definition.fill_nulls_with is None:
            yield DefinitionError(
                "G158",
                f"metric {name!r} has fill_nulls_with, but dbt dropped it from its manifest: nothing is filled",
                hint=f"use COALESCE({name}, 0) in a derived metric, or the legacy YAML",
                place=place,
                about=About("metric", name),
                severity="warning",
            )
