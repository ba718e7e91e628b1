"""What the graph of meaning is made of: nodes, the edges between them with their reasons, and parts of the whole."""

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
"""`rows` are which rows a table has, apart from what stands in them. `input` is what a request brings."""

TABLES: tuple[Kind, ...] = ("source", "seed", "snapshot", "model")

VALUE: frozenset[Why] = DIRECT | {"conditional", "window"}
"""Those by which a value changes on the same rows."""


@dataclass(frozen=True, slots=True)
class Node:
    """One thing in a project. `generated` is what gemel makes of another node, under whose name people know it.

    `words` are what it says for people: its label, its description. `about` is where it is written; None of what
    nobody wrote.
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
    """`target` is made of `source`, or depends on it: ids of nodes."""

    source: str
    target: str
    why: Why

    @property
    def direct(self) -> bool:
        return self.why in DIRECT


@dataclass(frozen=True, slots=True)
class Gap:
    """Where lineage could not be followed by columns, and why."""

    node: str
    reason: str


@dataclass(frozen=True, slots=True)
class Part:
    """What is on one side of some nodes: these first, then the others, by how far they are."""

    starts: tuple[Node, ...]
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class Impact:
    """All that changes if `starts` change, by kind. `values` are the ids of those whose values change on the same rows;
    the others change only by which rows there are, or how they are grouped."""

    starts: tuple[Node, ...]
    groups: Mapping[Kind, tuple[Node, ...]]
    values: frozenset[str]
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class Definitions:
    """What the definitions say: their nodes by id, how each is derived, and what is not known.

    `names` are other words for a node's id; `weak` are those that count only where no other word fits. `unlisted` are
    the semantic models and time spines, which are no nodes on a way: they have a text of their own.
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
"""What somebody reads or builds, in the order in which a change comes to it."""
