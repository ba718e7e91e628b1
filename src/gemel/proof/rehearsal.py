"""Training sets made to be compared: features of some entities at some moments, as a training run would get them."""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gemel.compiler.features.cells import MOMENT
from gemel.features.binding import BoundView, Column
from gemel.training.training_set import Accuracy

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
