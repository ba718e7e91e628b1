"""Which features can be computed at any moment, and which only at those of their view's table."""

from collections.abc import Mapping, Sequence

from gemel.compiler.features.moments import FeatureQuery
from gemel.compiler.features.requests import plan_parts
from gemel.compiler.names.graph import Graph
from gemel.errors import BridgeError, GemelError
from gemel.features.binding import BoundView, Column, feature_query
from gemel.features.selection import Chosen
from gemel.features.types import TYPES


def exact_query(each: Chosen, types: Mapping[str, str]) -> FeatureQuery:
    """What is taken of a view, as the compiler takes it."""
    by_name = {column.name: column for column in each.view.columns}
    sql = {name: TYPES[type_].sql for name, type_ in types.items()}
    return feature_query(each.view.view, [by_name[name] for name in each.columns], None, sql)


def exact_columns(graph: Graph, view: BoundView) -> list[Column]:
    """The features that can be computed at any moment."""
    return [column for column in view.columns if _is_exact(graph, view, column.name)]


def check_exact(graph: Graph, chosen: Sequence[Chosen]) -> None:
    """Raises BridgeError (G556) with all the features that have values at the moments of their tables only."""
    features = [(each.view, name) for each in chosen for name in each.columns]
    others = [f"{view.name}.{name}" for view, name in features if not _is_exact(graph, view, name)]
    if others:
        rest = [f"{view.name}.{name}" for view, name in features if f"{view.name}.{name}" not in others]
        raise BridgeError(
            "G556",
            f"{', '.join(others)} can be computed at the moments of the table, and at no others: distinct values, "
            "percentiles, conversions and periods to date are",
            hint="use --accuracy served" + (f", or ask for the others: {','.join(rest)}" if rest else ""),
        )


def _is_exact(graph: Graph, view: BoundView, name: str) -> bool:
    try:
        plan_parts(graph, exact_query(Chosen(view, (name,)), {}))
    except GemelError as error:
        if error.code != "G556":
            raise
        return False
    return True
