"""What dbt knows of a project: its tables, what each is made of, and what is declared beside them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from gemel.spec.manifest import Export, Relation

NodeKind = Literal["model", "seed", "snapshot", "source"]


@dataclass(frozen=True, slots=True)
class Node:
    """A model, seed, snapshot or source, by dbt's `id`.

    `name` is what `ref()` takes, and `till.orders` of a source; no other node has its `unique_name`: `customers.v2`,
    `other_package.orders`. `relation` is where the rows are, and `relation_name` the same in the engine's SQL; an
    ephemeral model has a `relation`, by which semantic models call it, and no `relation_name`. `parents` and `macros`
    are ids. `compiled` is dbt's SQL and `raw` the user's; a Python model has neither. `columns` are those that YAML
    declares, in lower case, each with its type where YAML says one. `gemel` is what `meta: {gemel: ...}` says.
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
        """Whether it is a part of its children's SQL, and no table."""
        return self.materialized == "ephemeral"


@dataclass(frozen=True, slots=True)
class Exposure:
    """What somebody makes of models, sources and metrics. `parents` are dbt's ids of those."""

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
    """A semantic model or a saved query, as far as only manifest.json tells: the file, `meta: {gemel: ...}`, and
    exports as they are written, where semantic_manifest.json fills in the target's schema."""

    name: str
    file: str
    gemel: Mapping[str, Any] = field(default_factory=dict)
    exports: tuple[Export, ...] = ()


@dataclass(frozen=True)
class DbtProject:
    """Everything that one manifest.json tells, of a project of that `name`.

    A project that dbt never parsed is not `is_parsed` and has nothing; a table's own name then stands for its node's.
    `nodes` are by dbt's id and in the order of ids; `metrics` are dbt's calls (`metric('revenue')`) by the metrics'
    names in lower case; `macros` are by id.
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
        """The node whose rows a relation holds; None where dbt does not know of it.

        Names are compared as dbt writes them. Failing that, case does not matter, nor does the database where one of
        the two names none, as long as only one place fits.
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
        """dbt's call for a relation, `ref('flights')`; the relation's own name where no node is known."""
        node = self.node_at(relation)
        if node is None or node.kind == "source":
            return call("ref", relation.name)
        return call("ref", node.name, package=node.package if node.package != self.name else None, version=node.version)

    def relation_name(self, model: str) -> str | None:
        """A model of the project's own package as the engine's SQL names it; None where dbt has not seen it."""
        node = self.nodes.get(f"model.{self.name}.{model}")
        return node.relation_name if node else None

    @cached_property
    def children(self) -> Mapping[str, tuple[str, ...]]:
        """The ids of the nodes that read each node."""
        found: dict[str, list[str]] = {}
        for node in self.nodes.values():
            for parent in node.parents:
                found.setdefault(parent, []).append(node.id)
        return {parent: tuple(children) for parent, children in found.items()}

    @cached_property
    def _by_name(self) -> Mapping[tuple[str, str], list[Node]]:
        """By schema and name in lower case. A model comes before the source that somebody declared over it."""
        found: dict[tuple[str, str], list[Node]] = {}
        for node in sorted(self.nodes.values(), key=lambda node: node.kind == "source"):
            found.setdefault(_folded(node.relation), []).append(node)
        return found


def call(function: str, name: str, *, package: str | None = None, version: str | int | None = None) -> str:
    """`ref('flights')`, `ref('shop', 'customers', v=2)`, `metric('revenue')`: what stands between dbt's braces."""
    arguments = [_quoted(part) for part in (package, name) if part is not None]
    if version is not None:
        arguments.append(f"v={version if isinstance(version, int) else _quoted(version)}")
    return f"{function}({', '.join(arguments)})"


def _folded(relation: Relation) -> tuple[str, str]:
    return (relation.schema or "").lower(), relation.name.lower()


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
