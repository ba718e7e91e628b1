"""Who uses what is generated: consumers that are declared beside it, as dbt's exposures."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gemel.errors import About, BiError, GemelError, did_you_mean
from gemel.files import plain

TYPES = ("dashboard", "notebook", "analysis", "ml", "application")
"""What dbt calls a consumer."""
MATURITIES = ("low", "medium", "high")

_KEYS = ("name", "type", "label", "url", "owner", "maturity", "description")


@dataclass(frozen=True, slots=True)
class Consumer:
    """A dashboard or the like, as its exposure will say it. Declared in several places, it is one of all of them."""

    name: str
    type: str
    owner: tuple[tuple[str, str], ...]
    label: str | None = None
    url: str | None = None
    maturity: str | None = None
    description: str | None = None
    about: About | None = field(default=None, compare=False)


def read_consumers(value: object, about: About, problems: list[GemelError]) -> Iterator[Consumer]:
    """The list under `consumers:`. What cannot be meant (G707) goes to `problems`."""
    if value is None:
        return
    if not isinstance(value, list):
        problems.append(
            _refused(about, f"consumers is {value!r}", "write a list: `consumers: [{name: ..., owner: ...}]`")
        )
        return
    for item in value:
        unfit = list(_unfit(item, about))
        problems += unfit
        if not unfit:
            yield Consumer(
                item["name"],
                item.get("type", "dashboard"),
                _owner(item["owner"]),
                item.get("label"),
                item.get("url"),
                item.get("maturity"),
                item.get("description"),
                about,
            )


def exposure(consumer: Consumer, refs: Iterable[str], metrics: Iterable[str], meta: dict[str, Any]) -> dict[str, Any]:
    """dbt's words for a consumer of models and metrics, each by dbt's call for it."""
    told = {"label": consumer.label, "url": consumer.url, "maturity": consumer.maturity}
    return {
        "name": consumer.name,
        **{key: value for key, value in told.items() if value},
        "type": consumer.type,
        "description": plain(consumer.description or f"Reads {' and '.join(_names(meta))}."),
        "owner": dict(consumer.owner),
        "depends_on": [*dict.fromkeys(refs), *dict.fromkeys(metrics)],
        "config": {"meta": {"gemel": meta}},
    }


def _names(meta: dict[str, Any]) -> Iterator[str]:
    for names in meta.values():
        yield from names


def _unfit(item: object, about: About) -> Iterator[GemelError]:
    if not isinstance(item, dict):
        yield _refused(
            about, f"a consumer is {str(item)[:40]!r}", "write its name and owner: `{name: ..., owner: ...}`"
        )
        return
    told = f"consumer {str(item.get('name'))[:60]!r}"
    for key in item:
        if key not in _KEYS:
            hint = did_you_mean(str(key), _KEYS) or f"there is {', '.join(_KEYS)}"
            yield _refused(about, f"{told} says {str(key)[:40]!r}, which is nothing there", hint)
    for key in _KEYS:
        if key in item and key != "owner" and not (isinstance(item[key], str) and item[key]):
            yield _refused(about, f"{told} has {key} {item[key]!r}", "write a text")
    name = item.get("name")
    if not isinstance(name, str) or not name.replace("-", "_").isidentifier():
        yield _refused(about, f"{told} has no name that an exposure can have", "use letters, digits and underscores")
    if not _owner(item.get("owner")):
        yield _refused(about, f"{told} has no owner", "dbt asks for one: an address, or a name")
    for key, known in (("type", TYPES), ("maturity", MATURITIES)):
        value = item.get(key)
        if isinstance(value, str) and value not in known:
            hint = did_you_mean(value, known) or f"one of {', '.join(known)}"
            yield _refused(about, f"{told} is of {key} {value[:40]!r}", hint)


def _owner(value: object) -> tuple[tuple[str, str], ...]:
    """`ada@example.com`, `Ada`, or dbt's own `{name: Ada, email: ada@example.com}`."""
    match value:
        case str() if value.strip():
            return (("email" if "@" in value else "name", value),)
        case dict():
            return tuple((key, each) for key in ("name", "email") if isinstance(each := value.get(key), str) and each)
        case _:
            return ()


def _refused(about: About, told: str, hint: str) -> GemelError:
    return BiError("G707", f"{about.kind.replace('_', ' ')} {about.name!r}: {told}", hint=hint, about=about)
