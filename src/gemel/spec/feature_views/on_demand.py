"""On-demand views: features that are computed when they are asked for, of what comes with the request."""

from dataclasses import dataclass, field

import yaml

from gemel.errors import Place
from gemel.spec.feature_views.document import Document, Refused

ON_DEMAND_KEYS = ("name", "description", "inputs", "features", "owner", "tags")
EXPRESSION_KEYS = ("name", "expr", "dtype", "description")
INPUT_TYPES = ("int64", "float64", "string", "bool", "timestamp")
"""What can come with a request. Feast knows no narrower numbers there."""


@dataclass(frozen=True, slots=True)
class OnDemandFeature:
    """An SQL expression over the inputs of its view and the features of other views, as `view.feature`."""

    name: str
    expr: str
    dtype: str | None = None
    description: str | None = None
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class OnDemandView:
    """`inputs` are names and types of what a request brings."""

    name: str
    inputs: tuple[tuple[str, str], ...]
    features: tuple[OnDemandFeature, ...]
    description: str | None = None
    owner: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    place: Place | None = field(default=None, compare=False)

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)

    @property
    def declared_names(self) -> tuple[str, ...]:
        return self.feature_names


def read_on_demand_view(document: Document, node: yaml.Node) -> OnDemandView:
    """Raises Refused."""
    before = len(document.problems)
    keys = document.mapping(node, "an on-demand view", ON_DEMAND_KEYS, ("name", "inputs", "features"))
    view = OnDemandView(
        name=document.name(keys["name"], "an on-demand view"),
        inputs=_inputs(document, keys["inputs"]),
        features=_features(document, keys["features"]),
        description=document.text(keys["description"], "description") if "description" in keys else None,
        owner=document.text(keys["owner"], "owner") if "owner" in keys else None,
        tags=document.tags(keys["tags"]) if "tags" in keys else (),
        place=document.place(keys["name"]),
    )
    names = [name for name, _ in view.inputs]
    for feature in view.features:
        if feature.name in names:
            told = f"feature {feature.name!r} has the name of another feature or input of the view"
            document.note(keys["features"], "G503", told, "give one another name")
        names.append(feature.name)
    if len(document.problems) > before:
        raise Refused
    return view


def _inputs(document: Document, node: yaml.Node) -> tuple[tuple[str, str], ...]:
    found = []
    for name, value in document.pairs(node, "inputs"):
        document.check_name(node, "an input", name)
        found.append((name, document.choice(value, f"input {name!r}", INPUT_TYPES)))
    if not found:
        document.note(node, "G501", "inputs must name at least one", "a feature of tables alone is a feature view's")
    return tuple(found)


def _features(document: Document, node: yaml.Node) -> tuple[OnDemandFeature, ...]:
    found = []
    for item in document.items(node, "features"):
        try:
            keys = document.mapping(item, "an on-demand feature", EXPRESSION_KEYS, ("name", "expr"))
        except Refused:
            continue
        found.append(
            OnDemandFeature(
                name=document.name(keys["name"], "a feature"),
                expr=document.text(keys["expr"], "expr"),
                dtype=document.choice(keys["dtype"], "dtype", INPUT_TYPES) if "dtype" in keys else None,
                description=document.text(keys["description"], "description") if "description" in keys else None,
                place=document.place(keys["expr"]),
            )
        )
    return tuple(found)
