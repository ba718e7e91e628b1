"""Training sets of a project's features."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gemel.compiler.features.cells import MOMENT
from gemel.features.opened import Features
from gemel.features.provenance import read_table_builds, refuse_others, tell_unrecorded
from gemel.features.selection import choose
from gemel.training.source import Source
from gemel.training.training_set import Accuracy, Format, TrainingSet, make


def source_of(features: Features) -> Source:
    """Where the features come from. Raises BridgeError (G534), Problems (G523)."""
    session = features.session
    return Source(session.graph, features.types(), features.relations(), session.runner.catalogs(), session.dbt)


def make_training_set(
    features: Features,
    names: Sequence[str],
    spine: Any,
    *,
    accuracy: Accuracy,
    time_column: str = MOMENT,
    out: Path | None = None,
    format: Format | None = None,
) -> TrainingSet:
    """Make a training set from a spine and names of services, views or single `view.feature`. Raises as `make`,
    and BridgeError (G538) if a table was built from another definition."""
    choice = choose(features.bound, names)
    source = source_of(features)
    views = [each.view for each in choice.needed()] if accuracy == "served" else []
    try:
        source = replace(source, builds=read_table_builds(features, views))
        refuse_others(features, views, source.builds)
        with features.reading_tables():
            result = make(
                source,
                choice,
                spine,
                features.session.runner.scratch,
                accuracy=accuracy,
                time_column=time_column,
                out=out,
                format=format,
            )
        tell_unrecorded(features, views, source.builds)
        return result
    finally:
        features.release()
