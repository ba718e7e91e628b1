"""Reads `feature_views/*.yml` into frozen values: the metrics and dimensions that become features, and their services.

Only the files themselves are checked here: types, names, windows, references between them. `gemel.features` checks
whether a metric exists and can be computed for an entity. `feature_views.schema.json` beside this package has the same
rules for editors; a test keeps the two equal.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from gemel.errors import BridgeError, GemelError, Place, Problems, ProjectError, did_you_mean, reason_of
from gemel.spec.feature_views.document import DTYPES, RESERVED, read_sections
from gemel.spec.feature_views.on_demand import OnDemandFeature, OnDemandView, read_on_demand_view
from gemel.spec.feature_views.services import FeatureService, ServiceFeature, read_service
from gemel.spec.feature_views.views import (
    SCHEDULES,
    DimensionFeature,
    Feature,
    FeatureView,
    MetricFeature,
    read_view,
)
from gemel.spec.nodes import read_each

__all__ = [
    "DTYPES",
    "RESERVED",
    "SCHEDULES",
    "SCHEMA",
    "DimensionFeature",
    "Feature",
    "FeatureService",
    "FeatureSpec",
    "FeatureView",
    "MetricFeature",
    "OnDemandFeature",
    "OnDemandView",
    "ServiceFeature",
    "parse_feature_views",
    "read_feature_views",
    "values_of",
]

SCHEMA = Path(__file__).parent.with_suffix(".schema.json")


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    views: tuple[FeatureView, ...] = ()
    services: tuple[FeatureService, ...] = ()
    on_demand: tuple[OnDemandView, ...] = ()


def read_feature_views(folder: Path, *, root: Path | None = None) -> FeatureSpec:
    """Every `*.yml` of `folder` as one FeatureSpec. Raises Problems with the errors in all files.

    Places are relative to `root`. A folder that does not exist has no files.
    """

    def name_of(path: Path) -> str:
        return path.relative_to(root).as_posix() if root and path.is_relative_to(root) else str(path)

    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix in (".yml", ".yaml"))
    except FileNotFoundError:
        return FeatureSpec()
    except OSError as error:
        hint = "it must be a folder that is readable"
        raise ProjectError("G607", f"cannot read {name_of(folder)}: {reason_of(error)}", hint=hint) from None
    files, unreadable = [], []
    for path in paths:
        if path.name != "feature_store.yaml":  # Feast's own
            try:
                files.append((name_of(path), path.read_text(encoding="utf-8", errors="replace")))
            except OSError as error:
                hint = "make the file readable, or remove it"
                unreadable.append(ProjectError("G607", f"cannot read {name_of(path)}: {reason_of(error)}", hint=hint))
    if unreadable:
        raise Problems(unreadable)
    return parse_feature_views(files)


def parse_feature_views(files: Iterable[tuple[str, str]]) -> FeatureSpec:
    """One FeatureSpec from pairs of a file's name and text. Raises Problems."""
    views: list[FeatureView] = []
    on_demand: list[OnDemandView] = []
    services: list[FeatureService] = []
    problems: list[GemelError] = []
    for name, text in files:
        for section, node in read_sections(
            name, text, ("feature_views", "on_demand_views", "feature_services"), problems
        ):
            items = node.items(section, least=1)
            match section:
                case "feature_views":
                    views.extend(read_each(items, read_view))
                case "on_demand_views":
                    on_demand.extend(read_each(items, read_on_demand_view))
                case _:
                    services.extend(read_each(items, read_service))
    problems.extend(_duplicates("feature view", [*views, *on_demand]))
    problems.extend(_duplicates("feature service", services))
    problems.extend(_sources_of_one_name(views, on_demand))
    problems.extend(_unknown_references([*views, *on_demand], services, complete=not problems))
    if problems:
        raise Problems(sorted(problems, key=_by_place))
    return FeatureSpec(tuple(views), tuple(services), tuple(on_demand))


def values_of(item: FeatureView | OnDemandView | FeatureService) -> dict[str, Any]:
    """Its fields and their values, for a class that extends it."""
    return {each.name: getattr(item, each.name) for each in fields(item)}


def _duplicates(kind: str, items: Iterable[FeatureView | OnDemandView | FeatureService]) -> Iterator[GemelError]:
    first: dict[str, Place | None] = {}
    for item in items:
        if item.name in first:
            yield BridgeError(
                "G503",
                f"two {kind}s are named {item.name!r}",
                hint=f"the other is at {first[item.name]}",
                place=item.place,
            )
        first.setdefault(item.name, item.place)


def _sources_of_one_name(views: list[FeatureView], on_demand: list[OnDemandView]) -> Iterator[GemelError]:
    """Feast keeps tables, push sources and request sources in one list, by name."""
    names = {f"{view.name}_source" for view in views} | {f"{view.name}_request" for view in on_demand}
    for view in views:
        if view.push and view.push in names:
            yield BridgeError(
                "G503",
                f"the push source of feature view {view.name!r} cannot be named {view.push!r}: "
                "another source has that name",
                hint="rename one of them: `push: NAME`",
                place=view.place,
            )
        if view.push:
            names.add(view.push)


def _unknown_references(
    views: Sequence[FeatureView | OnDemandView], services: list[FeatureService], *, complete: bool
) -> Iterator[GemelError]:
    features = {view.name: [feature.name for feature in view.features] for view in views}
    for service in services:
        for reference in service.features:
            # A view that is invalid has been reported already: it is not unknown.
            if reference.view not in features:
                if complete:
                    yield BridgeError(
                        "G505",
                        f"no feature view named {reference.view!r}",
                        hint=did_you_mean(reference.view, features),
                        place=reference.place,
                    )
            elif reference.feature and reference.feature not in features[reference.view]:
                base = reference.feature.rsplit("__", 1)
                # A ratio's sides are features too, but only the metric's definition shows that it is a ratio.
                if not (len(base) == 2 and base[0] in features[reference.view]):
                    yield BridgeError(
                        "G505",
                        f"feature view {reference.view!r} has no feature named {reference.feature!r}",
                        hint=did_you_mean(reference.feature, features[reference.view])
                        or f"it has {', '.join(features[reference.view])}",
                        place=reference.place,
                    )


def _by_place(error: GemelError) -> tuple[str, int, int]:
    place = error.place
    return (place.file, place.line or 0, place.column or 0) if place else ("", 0, 0)
