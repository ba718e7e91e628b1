"""Which features can be computed at any moment, and which only at the moments of their view's table."""

from collections.abc import Sequence

from gemel.compiler.features.requests import plan_parts
from gemel.compiler.names.graph import Graph
from gemel.errors import BridgeError, GemelError
from gemel.features.bound import BoundView
from gemel.features.selection import Chosen
from gemel.spec.feature_views import Feature


def exact_features(graph: Graph, view: BoundView) -> list[Feature]:
    """The features that can be computed at any moment."""
    return [feature for feature in view.features if _is_exact(graph, view, feature.name)]


def check_exact(graph: Graph, chosen: Sequence[Chosen]) -> None:
    """Raises BridgeError (G556), which names all features that have values only at the moments of their tables."""
    features = [(each.view, name) for each in chosen for name in each.columns]
    others = [f"{view.name}.{name}" for view, name in features if not _is_exact(graph, view, name)]
    if others:
        rest = [f"{view.name}.{name}" for view, name in features if f"{view.name}.{name}" not in others]
        raise BridgeError(
            "G556",
            f"{', '.join(others)} can be computed only at the moments of the table, like all distinct values, "
            "percentiles, conversions and periods to date",
            hint="use --accuracy served" + (f", or ask for the others: {','.join(rest)}" if rest else ""),
        )


def _is_exact(graph: Graph, view: BoundView, name: str) -> bool:
    try:
        plan_parts(graph, Chosen(view, (name,)).alone())
    except GemelError as error:
        if error.code != "G556":
            raise
        return False
    return True
