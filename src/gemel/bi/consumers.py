"""Consumers of generated models, declared beside the definitions, as dbt's exposures."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from gemel.errors import About
from gemel.files import escape_all, escape_description, escape_templates
from gemel.spec.nodes import Keys, Node, read_each

TYPES = ("dashboard", "notebook", "analysis", "ml", "application")
"""dbt's types of exposures."""
MATURITIES = ("low", "medium", "high")

_KEYS = ("name", "type", "label", "url", "owner", "maturity", "description")


@dataclass(frozen=True, slots=True)
class Consumer:
    """A dashboard or the like, as its exposure describes it. Declared in several places, it is one exposure of all."""

    name: str
    type: str
    owner: tuple[tuple[str, str], ...]
    label: str | None = None
    url: str | None = None
    maturity: str | None = None
    description: str | None = None
    about: About | None = field(default=None, compare=False)


def read_consumers(keys: Keys) -> Iterator[Consumer]:
    """The consumers under `consumers:`. Notes those that dbt would not accept (G707)."""
    node = keys.get("consumers")
    if node is not None and node.value is not None:
        node = replace(node, notes=replace(node.notes, code="G707"))
        yield from read_each(node.items("consumers"), _consumer)


def _consumer(node: Node) -> Consumer:
    keys = node.keys("a consumer", _KEYS, required=("name", "owner"))
    name, owner = keys["name"].text("name"), _owner(keys["owner"].content)
    if name and not name.replace("-", "_").isidentifier():
        keys["name"].note(f"an exposure cannot be named {name!r}", "use letters, digits and underscores")
    if not owner:
        keys["owner"].note("a consumer needs an owner", "dbt requires one: an email address or a name")
    return Consumer(
        name,
        keys.choice("type", TYPES) or "dashboard",
        owner,
        keys.text("label"),
        keys.text("url"),
        keys.choice("maturity", MATURITIES),
        keys.text("description"),
        node.about,
    )


def exposure(consumer: Consumer, refs: Iterable[str], metrics: Iterable[str], meta: dict[str, Any]) -> dict[str, Any]:
    """dbt's exposure of a consumer of models and metrics, each as dbt's call for it."""
    optional = {"label": consumer.label, "url": consumer.url, "maturity": consumer.maturity}
    return {
        "name": consumer.name,
        **{key: escape_templates(value) for key, value in optional.items() if value},
        "type": consumer.type,
        "description": escape_description(consumer.description or f"Reads {' and '.join(_names(meta))}."),
        "owner": escape_all(dict(consumer.owner)),
        "depends_on": [*dict.fromkeys(refs), *dict.fromkeys(metrics)],
        "config": {"meta": {"gemel": meta}},
    }


def _names(meta: dict[str, Any]) -> Iterator[str]:
    for names in meta.values():
        yield from names


def _owner(value: object) -> tuple[tuple[str, str], ...]:
    """`ada@example.com`, `Ada`, or dbt's own `{name: Ada, email: ada@example.com}`."""
    match value:
        case str() if value.strip():
            return (("email" if "@" in value else "name", value),)
        case dict():
            return tuple((key, each) for key in ("name", "email") if isinstance(each := value.get(key), str) and each)
        case _:
            return ()
