"""Which features can be computed at any moment, and which only at the moments of their view's table."""

from collections.abc import Sequence

from gemel.compiler.compiled import Context, compiled
from gemel.compiler.features.requests import plan_parts, plan_requests
from gemel.compiler.names.graph import Graph
from gemel.errors import BridgeError, GemelError
from gemel.features.bound import BoundView
from gemel.features.selection import Chosen
from gemel.run import ScratchRunner
from gemel.spec.feature_views import Feature
from gemel.training.source import REQUESTS


def exact_features(graph: Graph, view: BoundView) -> list[Feature]:
    """The features that can be computed at any moment."""
    return [feature for feature in view.features if _find_fault(graph, view, feature.name) is None]


def check_exact(graph: Graph, chosen: Sequence[Chosen]) -> None:
    """Raises BridgeError (G556), which names all features that have values only at the moments of their tables, or
    QueryError (G327) for a definition that cannot be translated to DuckDB, where exact values are computed."""
    features = [(each.view, name) for each in chosen for name in each.columns]
    faults = {f"{view.name}.{name}": _find_fault(graph, view, name) for view, name in features}
    for fault in faults.values():
        if fault is not None and fault.code == "G327":
            fault.hint = "use --accuracy served, or compute the value as a column of the dbt model"
            raise fault
    others = [name for name, fault in faults.items() if fault is not None]
    if others:
        rest = [name for name in faults if name not in others]
        raise BridgeError(
            "G556",
            f"{', '.join(others)} can be computed only at the moments of the table, like all distinct values, "
            "percentiles, conversions and periods to date",
            hint="use --accuracy served" + (f", or ask for the others: {','.join(rest)}" if rest else ""),
        )


def _find_fault(graph: Graph, view: BoundView, name: str) -> GemelError | None:
    """Why a feature cannot be computed at any moment; None if it can."""
    alone = Chosen(view, (name,)).alone()
    try:
        parts = plan_parts(graph, alone)
        if graph.texts.dialect != ScratchRunner.dialect:
            plans = [plan_requests(graph, alone, requests=REQUESTS, whole=view), *([parts] if parts else ())]
            for plan in plans:
                compiled(plan, Context.naming(ScratchRunner.dialect))
    except GemelError as error:
        if error.code not in ("G556", "G327"):
            raise
        return error
    return None
