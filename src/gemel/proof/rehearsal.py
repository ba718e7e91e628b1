"""Training sets for the comparison: features of some entities at some moments, as a training run would get them."""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gemel.compiler.features.cells import MOMENT
from gemel.features.bound import BoundView
from gemel.spec.feature_views import Feature
from gemel.training.training_set import Accuracy

if TYPE_CHECKING:
    import pyarrow

Train = Callable[[Sequence[str], "pyarrow.Table", Accuracy], "pyarrow.Table"]
"""From features as `view.feature`, a spine and an accuracy to a training set."""

Request = tuple[tuple[Any, ...], dt.datetime]
"""An entity's key and a moment."""


def rehearse(
    train: Train, view: BoundView, features: Sequence[Feature], requests: Sequence[Request], accuracy: Accuracy
) -> list[dict[str, Any]]:
    """The features of each entity at its moment, in the order of the requests."""
    import pyarrow

    keys = {entity: [key[place] for key, _ in requests] for place, entity in enumerate(view.entities)}
    times = pyarrow.array([moment for _, moment in requests], pyarrow.timestamp("us"))
    names = [feature.name for feature in features]
    table = train([f"{view.name}.{name}" for name in names], pyarrow.table({**keys, MOMENT: times}), accuracy)
    return list(table.select(names).to_pylist())
