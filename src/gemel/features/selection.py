"""Features selected by the names of services, views and single features, and the columns needed for them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gemel.errors import BridgeError, UnknownNameError, did_you_mean
from gemel.features.bound import Bound, BoundView
from gemel.on_demand.binding import BoundOnDemand
from gemel.spec.feature_views import FeatureView


@dataclass(frozen=True, slots=True)
class Chosen:
    """A view and its selected columns, in the order of the request."""

    view: BoundView
    columns: tuple[str, ...]

    def alone(self) -> FeatureView:
        """The view with nothing but these features."""
        by_name = {feature.name: feature for feature in self.view.features}
        return replace(self.view, features=tuple(by_name[name] for name in self.columns))


@dataclass(frozen=True, slots=True)
class Choice:
    """The selected features of tables, and those computed on demand; `views` are all views of the project."""

    tables: tuple[Chosen, ...]
    on_demand: tuple[tuple[BoundOnDemand, tuple[str, ...]], ...]
    views: Mapping[str, BoundView]

    def features(self) -> Iterator[tuple[str, str]]:
        """(view, feature) pairs, in the order of the answer."""
        for each in self.tables:
            yield from ((each.view.name, name) for name in each.columns)
        for view, names in self.on_demand:
            yield from ((view.name, name) for name in names)

    def needed(self) -> tuple[Chosen, ...]:
        """The features of tables that are selected, or that on-demand features use."""
        columns = {each.view.name: dict.fromkeys(each.columns) for each in self.tables}
        for view, _ in self.on_demand:
            for source, names in view.sources:
                columns.setdefault(source, {}).update(dict.fromkeys(names))
        return tuple(Chosen(self.views[name], tuple(names)) for name, names in columns.items())

    def entities(self) -> list[str]:
        return list(dict.fromkeys(entity for each in self.needed() for entity in each.view.entities))

    def inputs(self) -> dict[str, str]:
        """The inputs of a request, with their types."""
        return {name: type_ for view, _ in self.on_demand for name, type_ in view.inputs}


_NAMES = "name a service, a view or `view.feature`"


def choose(bound: Bound, names: Sequence[str]) -> Choice:
    """The features that services, views and `view.feature` name. Raises UnknownNameError (G204), BridgeError (G555)."""
    views = {view.name: view for view in bound.views}
    on_demand = {view.name: view for view in bound.on_demand}
    services = {service.name: service for service in bound.services}
    every = {name: view.feature_names for name, view in (views | on_demand).items()}
    selected: dict[str, dict[str, None]] = {}
    for name in names:
        if not isinstance(name, str):
            raise BridgeError("G555", f"a name must be a string, not {name!r}", hint=_NAMES)
        view, _, feature = name.partition(".")
        if name in services:
            for owner, columns in services[name].selected:
                selected.setdefault(owner.name, {}).update(dict.fromkeys(columns or owner.feature_names))
        elif view in every and (not feature or feature in every[view]):
            selected.setdefault(view, {}).update(dict.fromkeys((feature,) if feature else every[view]))
        else:
            existing = [*services, *every, *(f"{v}.{c}" for v, columns in every.items() for c in columns)]
            raise UnknownNameError(
                "G204",
                f"no feature view, service or feature named {name[:80]!r}",
                hint=did_you_mean(name, existing) or f"there are {', '.join([*services, *every]) or 'none'}",
            )
    choice = Choice(
        tuple(Chosen(views[name], tuple(columns)) for name, columns in selected.items() if name in views),
        tuple((on_demand[name], tuple(columns)) for name, columns in selected.items() if name in on_demand),
        views,
    )
    _check_names(choice)
    return choice


def select_views(bound: Bound, names: Sequence[str]) -> tuple[BoundView, ...]:
    """The views of services, views and single features, each with what is selected of it; all without names.

    For an on-demand view, they are the features that it is computed from. Raises UnknownNameError (G204).
    """
    if not names:
        return bound.views
    selected: dict[str, set[str]] = {}
    for name in names:
        for each in choose(bound, [name]).needed():
            selected.setdefault(each.view.name, set()).update(each.columns)
    return tuple(
        replace(view, features=tuple(feature for feature in view.features if feature.name in selected[view.name]))
        for view in bound.views
        if view.name in selected
    )


def _check_names(choice: Choice) -> None:
    owners: dict[str, str] = {}
    for owner, feature in choice.features():
        if owners.setdefault(feature, owner) != owner:
            raise BridgeError(
                "G555",
                f"{owners[feature]} and {owner} both have a feature named {feature!r}",
                hint="give one another name with `name:`, or take single features, as `view.feature`",
            )
    if not owners:
        raise BridgeError("G555", "no feature is selected", hint=_NAMES)
    roles = dict.fromkeys(choice.entities(), "an entity") | {name: f"a feature of {o}" for name, o in owners.items()}
    for view, _ in choice.on_demand:
        for name, type_ in view.inputs:
            if roles.setdefault(name, f"an input of type {type_}") != f"an input of type {type_}":
                raise BridgeError(
                    "G555",
                    f"{view.name} takes an input {name!r} of type {type_}, but {name!r} is also {roles[name]}",
                    hint="give the input another name",
                )
