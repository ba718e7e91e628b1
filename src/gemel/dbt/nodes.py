"""What dbt calls the tables that semantic models read, for SQL that says `ref()`.

semantic_manifest.json knows a table by its place in the warehouse, whose last part is the node's alias. `ref()`
takes the node's name, which can be another, with a version. That is only in manifest.json.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gemel.errors import ProjectError
from gemel.spec.fields import Json
from gemel.spec.manifest import Relation

_REFERABLE = frozenset({"model", "seed", "snapshot"})


@dataclass(frozen=True, slots=True)
class Node:
    """A model, seed or snapshot. `package` is None in the project's own package, where `ref()` needs none."""

    name: str
    package: str | None = None
    version: str | int | None = None

    @property
    def ref(self) -> str:
        """`ref('flights')`, `ref('shop', 'customers', v=2)`: what stands between dbt's double braces."""
        arguments = [_quoted(part) for part in (self.package, self.name) if part is not None]
        if self.version is not None:
            arguments.append(f"v={self.version if isinstance(self.version, int) else _quoted(self.version)}")
        return f"ref({', '.join(arguments)})"


class Nodes:
    """The nodes of one manifest.json. It is read at the first question, and once.

    A project that was never parsed has no nodes; a table's own name then stands for its node's.
    """

    def __init__(self, manifest: Path | None) -> None:
        self._file = manifest

    def of(self, relation: Relation) -> Node | None:
        """The node whose rows the relation holds, None where dbt does not know of it.

        Raises ProjectError (G602) where manifest.json is there and is none.
        """
        return self._by_place.get((relation.database, relation.schema, relation.name))

    def ref(self, relation: Relation) -> str:
        """dbt's call for the relation; the relation's own name where no node is known."""
        return (self.of(relation) or Node(relation.node or relation.name)).ref

    @cached_property
    def adapter(self) -> str | None:
        """What dbt calls the kind of warehouse that the manifest was made for; None where that is not known."""
        return _text(_object(self.data.get("metadata")).get("adapter_type"))

    def relation_name(self, model: str) -> str | None:
        """A model of the project's own as the warehouse's SQL names it; None where dbt has not seen it."""
        metadata = _object(self.data.get("metadata"))
        node = _object(self.data.get("nodes")).get(f"model.{metadata.get('project_name')}.{model}")
        return _text(_object(node).get("relation_name"))

    @cached_property
    def data(self) -> Json:
        """The whole manifest.json; nothing of a project that was never parsed. Raises ProjectError (G602)."""
        return _load(self._file) if self._file else {}

    @cached_property
    def names(self) -> frozenset[str]:
        """Every name that `ref()` takes."""
        return frozenset(node.name for node in self._by_place.values())

    @cached_property
    def _by_place(self) -> dict[tuple[str | None, str | None, str], Node]:
        data = self.data
        own = _object(data.get("metadata")).get("project_name")
        places = {}
        for item in map(_object, _object(data.get("nodes")).values()):
            name, alias = item.get("name"), item.get("alias") or item.get("name")
            if item.get("resource_type") in _REFERABLE and isinstance(name, str) and isinstance(alias, str):
                package, version = item.get("package_name"), item.get("version")
                places[_text(item.get("database")), _text(item.get("schema")), alias] = Node(
                    name,
                    package=package if isinstance(package, str) and package != own else None,
                    version=version if isinstance(version, str | int) else None,
                )
        return places


def _load(file: Path) -> Json:
    try:
        return _object(json.loads(file.read_bytes()))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ProjectError("G602", f"cannot read {file}: {error}", hint="`dbt parse` writes it anew") from None


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
