"""Training sets made to be compared: features of some entities at some moments, as a training run would get them."""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gemel.bridge.choices import Chosen
from gemel.bridge.features import BoundView, Column
from gemel.bridge.training import Accuracy, exact_query
from gemel.compiler.cells import MOMENT
from gemel.compiler.graph import Graph
from gemel.compiler.requests import plan_parts
from gemel.errors import GemelError

if TYPE_CHECKING:
    import pyarrow

Train = Callable[[Sequence[str], "pyarrow.Table", Accuracy], "pyarrow.Table"]
"""Features as `view.feature`, a spine and an accuracy to a training set."""

Asked = tuple[tuple[Any, ...], dt.datetime]
"""An entity's key and a moment."""


def rehearse(
    train: Train, view: BoundView, columns: Sequence[Column], asked: Sequence[Asked], accuracy: Accuracy
) -> list[dict[str, Any]]:
    """The features of each entity at its moment, in the order asked."""
    import pyarrow

    keys = {entity: [key[place] for key, _ in asked] for place, entity in enumerate(view.view.entities)}
    times = pyarrow.array([moment for _, moment in asked], pyarrow.timestamp("us"))
    made = train(
        [f"{view.name}.{column.name}" for column in columns],
        pyarrow.table({**keys, MOMENT: times}),
        accuracy,
    )
    return list(made.select([column.name for column in columns]).to_pylist())


def exact_columns(graph: Graph, view: BoundView) -> list[Column]:
    """The features that can be computed at any moment; the others are only in the view's table."""
    return [column for column in view.columns if _is_exact(graph, Chosen(view, (column.name,)))]


def _is_exact(graph: Graph, chosen: Chosen) -> bool:
    try:
        plan_parts(graph, exact_query(chosen, {}))
    except GemelError as error:
        if error.code != "G556":
            raise
        return False
    return True
