"""Feature services: the features that one model uses."""

import re
from dataclasses import dataclass, field

from gemel.errors import Place
from gemel.spec.feature_views.document import read_name, read_tags
from gemel.spec.nodes import Node

SERVICE_KEYS = ("name", "description", "features", "owner", "tags")
_REFERENCE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?\Z")


@dataclass(frozen=True, slots=True)
class ServiceFeature:
    """`view` (all its features) or `view.feature`."""

    view: str
    feature: str | None = None
    place: Place | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return self.view if self.feature is None else f"{self.view}.{self.feature}"


@dataclass(frozen=True, slots=True)
class FeatureService:
    """The features that one model uses. The owner is a contact, which dbt requires for every exposure."""

    name: str
    features: tuple[ServiceFeature, ...]
    owner: str
    description: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    place: Place | None = field(default=None, compare=False)


def read_service(node: Node) -> FeatureService:
    """Raises Refused."""
    keys = node.keys("a feature service", SERVICE_KEYS, required=("name", "features", "owner"))
    references: list[ServiceFeature] = []
    for item in keys.nodes("features", least=1):
        text = item.text("a feature of a service")
        if not text:
            continue
        if not _REFERENCE.match(text):
            item.note(f"{text!r} is not a reference to features", "write a view's name, or view.feature", code="G505")
            continue
        view, _, feature = text.partition(".")
        if any(r.view == view and r.feature in (None, feature or None) for r in references):
            item.note(f"{text!r} is in the service already", code="G503")
        references.append(ServiceFeature(view, feature or None, item.place))
    return FeatureService(
        name=read_name(keys["name"], "a feature service"),
        features=tuple(references),
        owner=keys["owner"].text("owner"),
        description=keys.text("description"),
        tags=read_tags(keys),
        place=keys["name"].place,
    )
