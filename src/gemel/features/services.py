"""Bind feature services to the views that they use."""

from collections.abc import Iterator

from gemel.errors import BridgeError, GemelError, did_you_mean
from gemel.features.bound import BoundService, BoundView
from gemel.on_demand.binding import BoundOnDemand
from gemel.spec.feature_views import FeatureService, values_of


def bind_service(
    service: FeatureService,
    views: dict[str, BoundView],
    on_demand: dict[str, BoundOnDemand],
    problems: list[GemelError],
) -> BoundService:
    columns = {name: view.feature_names for name, view in (views | on_demand).items()}
    chosen: dict[str, list[str] | None] = {}
    for reference in service.features:
        if reference.view not in columns:
            continue  # its own problems are reported
        if reference.feature is None:
            chosen[reference.view] = None
        elif reference.feature not in columns[reference.view]:
            names = columns[reference.view]
            problems.append(
                BridgeError(
                    "G505",
                    f"feature view {reference.view!r} has no feature named {reference.feature!r}",
                    hint=did_you_mean(reference.feature, names) or f"it has {', '.join(names)}",
                    place=reference.place,
                )
            )
        else:
            single = chosen.setdefault(reference.view, [])
            if single is not None:
                single.append(reference.feature)
    problems.extend(_twins(service, chosen, columns, views, on_demand))
    selected = (
        (owners[name], None if names is None else tuple(names))
        for owners in (views, on_demand)
        for name, names in chosen.items()
        if name in owners
    )
    return BoundService(**values_of(service), selected=tuple(selected))


def _twins(
    service: FeatureService,
    chosen: dict[str, list[str] | None],
    columns: dict[str, tuple[str, ...]],
    views: dict[str, BoundView],
    on_demand: dict[str, BoundOnDemand],
) -> Iterator[GemelError]:
    """Errors for names that two columns of a training set, or of Feast's answer, would have."""
    computed = [on_demand[name] for name in chosen if name in on_demand]
    sources = {source for view in computed for source, _ in view.sources}
    owners = dict.fromkeys((e for name in {*chosen, *sources} & views.keys() for e in views[name].entities), "")
    inputs: dict[str, str] = {}
    for view in computed:
        for name, type_ in view.inputs:
            if inputs.setdefault(name, type_) != type_:
                yield BridgeError(
                    "G507",
                    f"feature service {service.name!r} needs input {name!r} as {inputs[name]} and as {type_}",
                    hint="rename one of them, or give both the same type",
                    place=service.place,
                )
            owners[name] = ""
    for reference in service.features:
        if reference.view in chosen:
            for name in [reference.feature] if reference.feature else columns[reference.view]:
                if owners.setdefault(name, reference.view) != reference.view:
                    yield BridgeError(
                        "G507",
                        f"feature service {service.name!r} would have two columns named {name!r}",
                        hint="give a feature another name with `name:`, or take single features of the view",
                        place=reference.place,
                    )
