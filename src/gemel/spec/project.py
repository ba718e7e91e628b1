"""A project as dbt describes it: its tables, their parents, and the declarations beside them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from gemel.errors import About, DefinitionError
from gemel.spec.manifest import Export, Relation

NodeKind = Literal["model", "seed", "snapshot", "source"]


@dataclass(frozen=True, slots=True)
class Node:
    """A model, seed, snapshot or source, by dbt's `id`.

    `name` is the argument of `ref()`, or `till.orders` for a source. `unique_name` is unique among all nodes:
    `customers.v2`, `other_package.orders`. `relation` holds the rows, and `relation_name` is its name in the engine's
    SQL; an ephemeral model has a `relation`, to which semantic models refer, but no `relation_name`. `parents` and
    `macros` are ids. `compiled` is dbt's SQL and `raw` the user's; a Python model has neither. `columns` are those
    declared in YAML, in lower case, with their types if given. `gemel` is the content of `meta: {gemel: ...}`.
    """

    id: str
    kind: NodeKind
    name: str
    unique_name: str
    relation: Relation
    relation_name: str | None = None
    package: str | None = None
    version: str | int | None = None
    parents: tuple[str, ...] = ()
    macros: tuple[str, ...] = ()
    materialized: str | None = None
    language: str = "sql"
    compiled: str | None = None
    raw: str | None = None
    file: str | None = None
    columns: Mapping[str, str | None] = field(default_factory=dict, compare=False)
    description: str | None = None
    owner: str | None = None
    group: str | None = None
    access: str | None = None
    checksum: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict, compare=False)
    gemel: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def is_ephemeral(self) -> bool:
        """Whether it becomes part of its children's SQL instead of a table."""
        return self.materialized == "ephemeral"


@dataclass(frozen=True, slots=True)
class Exposure:
    """A use of models, sources and metrics outside dbt. `parents` are their dbt ids."""

    name: str
    type: str
    parents: tuple[str, ...]
    owner: str | None = None
    url: str | None = None
    label: str | None = None
    description: str | None = None
    maturity: str | None = None
    file: str | None = None
    package: str | None = None
    gemel: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Macro:
    """A macro's text, and the ids of the macros that it calls."""

    id: str
    package: str | None
    text: str
    macros: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Declaration:
    """The parts of a semantic model or a saved query that only manifest.json has: the file, `meta: {gemel: ...}`, and
    exports as written (semantic_manifest.json fills in the target's schema).

    `parents` are dbt's ids of what it reads. `pins` is whether a semantic model names a version of its dbt model:
    `ref('parcels', v=1)`, and not `ref('parcels')`, which is the latest one."""

    name: str
    file: str
    gemel: Mapping[str, Any] = field(default_factory=dict)
    parents: tuple[str, ...] = ()
    pins: bool = False
    group: str | None = None
    exports: tuple[Export, ...] = ()


@dataclass(frozen=True)
class DbtProject:
    """The content of one manifest.json, for the project of that `name`.

    A project that dbt has not parsed yet is empty and not `is_parsed`; a table's own name then replaces its node's.
    `nodes` are by dbt's id and sorted by it; `metrics` are dbt's calls (`metric('revenue')`) by the metrics' names in
    lower case; `macros` are by id.
    """

    name: str | None = None
    adapter: str | None = None
    dbt_version: str | None = None
    invocation_id: str | None = None
    nodes: Mapping[str, Node] = field(default_factory=dict)
    exposures: tuple[Exposure, ...] = ()
    saved_queries: tuple[Declaration, ...] = ()
    semantic_models: tuple[Declaration, ...] = ()
    metrics: Mapping[str, str] = field(default_factory=dict)
    macros: Mapping[str, Macro] = field(default_factory=dict)
    is_parsed: bool = False

    def node_at(self, relation: Relation) -> Node | None:
        """The node whose rows a relation holds; None if dbt has no such node.

        Names are compared exactly at first. Without a match, case is ignored, and so is the database if one of the two
        has none, as long as only one relation matches.
        """
        near = self._by_name.get(_folded(relation), [])
        same = [node for node in near if node.relation == relation]
        if same:
            return same[0]
        database = (relation.database or "").lower()
        like = [node for node in near if (node.relation.database or "").lower() == database]
        like = like or [node for node in near if not node.relation.database or not database]
        return like[0] if len({node.relation for node in like}) == 1 else None

    def ref(self, relation: Relation) -> str:
        """dbt's call for a relation, `ref('flights')`, with the relation's own name if there is no node."""
        node = self.node_at(relation)
        if node is None or node.kind == "source":
            return call("ref", relation.name)
        version = None if node.id in self._followed else node.version
        return call("ref", node.name, package=node.package if node.package != self.name else None, version=version)

    def group_of(self, relations: Iterable[Relation], reader: str) -> str | None:
        """The group that a generated file must have, because dbt lets only a group's own nodes read its private models;
        None if it reads no private model.

        Raises DefinitionError (G133) if there are several such groups.
        """
        read = [node for node in map(self.node_at, relations) if node is not None and node.access == "private"]
        private = {node.group: node for node in read if node.group}
        if len(private) > 1:
            listed = " and ".join(f"{node.name!r} of group {group!r}" for group, node in sorted(private.items()))
            raise DefinitionError(
                "G133",
                f"{reader!r} reads the private dbt models {listed}, and what dbt builds can be in one group only",
                hint="give these models one group, or set `access: protected` for those of all groups but one",
            )
        return next(iter(private), None)

    def relation_name(self, model: str) -> str | None:
        """The name in the engine's SQL of a model in the project's own package; None if dbt has no such model."""
        node = self.nodes.get(f"model.{self.name}.{model}")
        return node.relation_name if node else None

    @cached_property
    def _followed(self) -> frozenset[str]:
        """The ids of versions that semantic models read as the latest one of a dbt model.

        Raises DefinitionError (G132) for one that others pin: generated SQL reads each table by one name, and could not
        follow both.
        """
        pins: dict[str, dict[bool, str]] = {}
        for model in self.semantic_models:
            for parent in model.parents:
                if parent in self.nodes and self.nodes[parent].version is not None:
                    pins.setdefault(parent, {}).setdefault(model.pins, model.name)
        for id, by_pin in pins.items():
            if len(by_pin) > 1:
                node = self.nodes[id]
                raise DefinitionError(
                    "G132",
                    f"semantic model {by_pin[True]!r} pins version {node.version} of dbt model {node.name!r}, and "
                    f"{by_pin[False]!r} reads its latest one, which is the same: generated SQL cannot follow both",
                    hint=f"write {call('ref', node.name)} or {call('ref', node.name, version=node.version)} in both",
                    about=About("semantic_model", by_pin[True]),
                )
        return frozenset(id for id, by_pin in pins.items() if False in by_pin)

    @cached_property
    def children(self) -> Mapping[str, tuple[str, ...]]:
        """The ids of the nodes that read each node."""
        ids: dict[str, list[str]] = {}
        for node in self.nodes.values():
            for parent in node.parents:
                ids.setdefault(parent, []).append(node.id)
        return {parent: tuple(children) for parent, children in ids.items()}

    @cached_property
    def _by_name(self) -> Mapping[tuple[str, str], list[Node]]:
        """Nodes by schema and name in lower case. A model precedes a source that is declared over it."""
        nodes: dict[tuple[str, str], list[Node]] = {}
        for node in sorted(self.nodes.values(), key=lambda node: node.kind == "source"):
            nodes.setdefault(_folded(node.relation), []).append(node)
        return nodes


def call(function: str, name: str, *, package: str | None = None, version: str | int | None = None) -> str:
    """A call for dbt's templates: `ref('flights')`, `ref('shop', 'customers', v=2)`, `metric('revenue')`."""
    arguments = [_quoted(part) for part in (package, name) if part is not None]
    if version is not None:
        arguments.append(f"v={version if isinstance(version, int) else _quoted(version)}")
    return f"{function}({', '.join(arguments)})"


def _folded(relation: Relation) -> tuple[str, str]:
    return (relation.schema or "").lower(), relation.name.lower()


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
