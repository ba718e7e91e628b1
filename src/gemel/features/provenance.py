"""What tables, their copies and online rows were built from, compared with today's definitions."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from gemel.builds.records import CLONE, PARTIAL, Build, read_builds
from gemel.errors import BridgeError, GemelError, Problems
from gemel.features.bound import BoundView
from gemel.features.opened import Features
from gemel.features.origins import read_copy

Builds = Mapping[str, Build]
"""What built each view, by name, where that is recorded."""


def read_table_builds(features: Features, views: Sequence[BoundView]) -> Builds:
    """What built the tables, from the warehouse. Raises WarehouseError if it cannot be read."""
    relations = features.relations()
    runner = features.session.runner
    rows = lambda compiled: runner.rows(compiled).rows()  # noqa: E731
    return read_builds(rows, {view.name: relations[view.name] for view in views}, runner.dialect)


def read_copy_builds(features: Features, views: Sequence[BoundView]) -> Builds:
    """What built the Parquet copies, from their metadata."""
    found = {view.name: read_copy(features.copy_of(view))[1] for view in views}
    return {name: build for name, build in found.items() if build is not None}


def read_served_builds(features: Features, views: Sequence[BoundView]) -> Builds:
    """What built the tables that Feast reads: their copies, where it reads those. None for a warehouse that cannot be
    reached."""
    if features.is_copied:
        return read_copy_builds(features, views)
    with suppress(GemelError):
        return read_table_builds(features, views)
    return {}


def refuse_others(features: Features, views: Sequence[BoundView], builds: Builds, *, what: str = "table") -> None:
    """Raises BridgeError (G538), or Problems with several, for what was built from another definition than today's.

    Its values would be those of another metric, under today's name and hash.
    """
    differences = {view.name: explain(features, view, builds.get(view.name), what=what) for view in views}
    errors = [
        BridgeError(
            "G538",
            message,
            hint=f"run `gemel build`; without Feast's part, `gemel generate` and `dbt build --select {view.name}`",
            place=view.place,
        )
        for view in views
        if (message := differences[view.name]) is not None
    ]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise Problems(errors)


def explain(features: Features, view: BoundView, build: Build | None, *, what: str = "table") -> str | None:
    """How the definition of a build differs from today's; None if it does not, or if nothing is recorded."""
    if build is None or build.definition == CLONE:
        return None
    if build.definition in PARTIAL:
        return f"the {what} of {view.name!r} was built by dbt with {build.definition}, not of all facts, {build}"
    today = features.definition_of(view)
    if build.definition == today:
        return None
    return (
        f"the {what} of {view.name!r} was built from another definition ({build.definition}, and today's is "
        f"{today}), {build}"
    )


def tell_unrecorded(features: Features, views: Sequence[BoundView], builds: Builds) -> None:
    """Say for which views nothing records what built them."""
    unknown = [view.name for view in views if (build := builds.get(view.name)) is None or build.definition == CLONE]
    if unknown and features.engine.create_table is not None:
        names = " ".join(unknown)
        features.session.say(
            f"no record says what built {', '.join(unknown)}, which may be of another definition: "
            f"`dbt build --select {names}` records it"
        )
