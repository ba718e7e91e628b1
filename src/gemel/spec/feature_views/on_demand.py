"""On-demand views: features that are computed when they are asked for, of what comes with the request."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from gemel.errors import Place
from gemel.spec.feature_views.document import check_name, read_name, read_tags
from gemel.spec.nodes import Keys, Node, Refused

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


def read_on_demand_view(node: Node) -> OnDemandView:
    """Raises Refused."""
    keys = node.keys("an on-demand view", ON_DEMAND_KEYS, required=("name", "inputs", "features"))
    view = OnDemandView(
        name=read_name(keys["name"], "an on-demand view"),
        inputs=_inputs(keys["inputs"]),
        features=tuple(_features(keys)),
        description=keys.text("description"),
        owner=keys.text("owner"),
        tags=read_tags(keys),
        place=keys["name"].place,
    )
    names = [name for name, _ in view.inputs]
    for feature in view.features:
        if feature.name in names:
            told = f"feature {feature.name!r} has the name of another feature or input of the view"
            keys["features"].note(told, "give one another name", code="G503")
        names.append(feature.name)
    return view


def _inputs(node: Node) -> tuple[tuple[str, str], ...]:
    found = []
    for name, value in node.keys("inputs").nodes.items():
        check_name(node, "an input", name)
        found.append((name, value.choice(f"input {name!r}", INPUT_TYPES)))
    if not found:
        node.note("inputs must name at least one", "a feature of tables alone is a feature view's")
    return tuple(found)


def _features(view: Keys) -> Iterator[OnDemandFeature]:
    for item in view.items("features", least=1):
        try:
            keys = item.keys("an on-demand feature", EXPRESSION_KEYS, required=("name", "expr"))
        except Refused:
            continue
        yield OnDemandFeature(
            name=read_name(keys["name"], "a feature"),
            expr=keys["expr"].text("expr"),
            dtype=keys.choice("dtype", INPUT_TYPES),
            description=keys.text("description"),
            place=keys["expr"].place,
        )
