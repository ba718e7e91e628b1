"""On-demand views: features that are computed at the time of a request, from its inputs."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from gemel.errors import Place
from gemel.spec.feature_views.document import check_name, read_name, read_tags
from gemel.spec.nodes import Keys, Node, Refused

ON_DEMAND_KEYS = ("name", "description", "inputs", "features", "owner", "tags")
EXPRESSION_KEYS = ("name", "expr", "dtype", "description")
INPUT_TYPES = ("int64", "float64", "string", "bool", "timestamp")
"""The types of inputs of a request. Feast has no narrower numbers there."""


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
    """Features computed from `inputs`: the names and types of a request's values."""

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
            message = f"feature {feature.name!r} has the name of another feature or input of the view"
            keys["features"].note(message, "rename one of them", code="G503")
        names.append(feature.name)
    return view


def _inputs(node: Node) -> tuple[tuple[str, str], ...]:
    inputs = []
    for name, value in node.keys("inputs").items():
        check_name(node, "an input", name)
        inputs.append((name, value.choice(f"input {name!r}", INPUT_TYPES)))
    if not inputs:
        node.note("inputs must have at least one input", "define features of tables alone in a feature view")
    return tuple(inputs)


def _features(view: Keys) -> Iterator[OnDemandFeature]:
    for item in view.nodes("features", least=1):
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
