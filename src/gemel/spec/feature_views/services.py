"""Feature services: what one model takes of the views."""

import re
from dataclasses import dataclass, field

import yaml

from gemel.errors import Place
from gemel.spec.feature_views.document import Document, Refused

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
    """What one model takes. The owner is a person to ask; dbt wants one for every exposure."""

    name: str
    features: tuple[ServiceFeature, ...]
    owner: str
    description: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    place: Place | None = field(default=None, compare=False)


def read_service(document: Document, node: yaml.Node) -> FeatureService:
    """Raises Refused."""
    before = len(document.problems)
    keys = document.mapping(node, "a feature service", SERVICE_KEYS, ("name", "features", "owner"))
    references: list[ServiceFeature] = []
    for item in document.items(keys["features"], "features"):
        text = document.text(item, "a feature of a service")
        if not text:
            continue
        if not _REFERENCE.match(text):
            document.note(item, "G505", f"cannot read {text!r}", "write a view's name, or view.feature")
            continue
        view, _, feature = text.partition(".")
        if any(r.view == view and r.feature in (None, feature or None) for r in references):
            document.note(item, "G503", f"{text!r} is in the service already")
        references.append(ServiceFeature(view, feature or None, document.place(item)))
    service = FeatureService(
        name=document.name(keys["name"], "a feature service"),
        features=tuple(references),
        owner=document.text(keys["owner"], "owner"),
        description=document.text(keys["description"], "description") if "description" in keys else None,
        tags=document.tags(keys["tags"]) if "tags" in keys else (),
        place=document.place(keys["name"]),
    )
    if len(document.problems) > before:
        raise Refused
    return service
