"""The values of the graph of meaning: nodes, the edges between them with their reasons, and parts of the graph."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from gemel.errors import About
from gemel.tracing.derivations import DIRECT, Derivation, Why

Kind = Literal[
    "source",
    "seed",
    "snapshot",
    "model",
    "column",
    "rows",
    "semantic_model",
    "time_spine",
    "measure",
    "dimension",
    "entity",
    "metric",
    "saved_query",
    "bi_view",
    "input",
    "feature",
    "feature_view",
    "feature_service",
    "exposure",
]
"""`rows` is the set of rows of a table, apart from their values. `input` is an input of a request."""

TABLES: tuple[Kind, ...] = ("source", "seed", "snapshot", "model")

VALUE: frozenset[Why] = DIRECT | {"conditional", "window"}
"""A change over these edges changes values on the same rows; over the others, only the set of rows."""


@dataclass(frozen=True, slots=True)
class Node:
    """One thing in a project. A `generated` node is one that gemel generates from another, such as a BI view.

    `words` are its texts for people: label, description. `about` is its definition in the YAML; None if it has none.
    """

    kind: Kind
    name: str
    description: str | None = None
    owner: str | None = None
    file: str | None = None
    url: str | None = None
    generated: bool = False
    words: str = field(default="", compare=False)
    about: About | None = field(default=None, compare=False)

    @property
    def id(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class Edge:
    """`target` is computed from `source`, or depends on it. Both are ids of nodes."""

    source: str
    target: str
    why: Why

    @property
    def direct(self) -> bool:
        return self.why in DIRECT


@dataclass(frozen=True, slots=True)
class Gap:
    """A node with a lineage that cannot be traced by columns, and the reason."""

    node: str
    reason: str


@dataclass(frozen=True, slots=True)
class Part:
    """The graph upstream or downstream of some nodes: these first, then the others by distance."""

    starts: tuple[Node, ...]
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class Impact:
    """Everything that changes if `starts` change, by kind. For the ids in `values`, values change on the same rows; for
    the others, only the set of rows or its groups change."""

    starts: tuple[Node, ...]
    groups: Mapping[Kind, tuple[Node, ...]]
    values: frozenset[str]
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class Definitions:
    """The nodes of all definitions by id, their derivations, and the gaps.

    `names` are the names of nodes, `weak` those that count only if no other name matches. `unlisted` are the semantic
    models and time spines: they are not nodes of a lineage, but have a text of their own.
    """

    nodes: Mapping[str, Node]
    derivations: Mapping[str, Derivation]
    gaps: tuple[Gap, ...] = ()
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    weak: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unlisted: Mapping[str, Node] = field(default_factory=dict)


IMPACTED: tuple[Kind, ...] = (
    "model",
    "snapshot",
    "dimension",
    "metric",
    "saved_query",
    "bi_view",
    "feature",
    "feature_view",
    "feature_service",
    "exposure",
)
"""The kinds that people read or build, in the order in which a change reaches them."""
