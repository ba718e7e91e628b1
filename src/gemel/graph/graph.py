"""The lineage of a project: nodes, the edges between them with their reasons, and the ways along them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from gemel.tracing.derivations import DIRECT, Why

Kind = Literal[
    "source",
    "seed",
    "snapshot",
    "model",
    "column",
    "rows",
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
    """One thing in a project. `generated` is what gemel makes of another node, under whose name people know it."""

    kind: Kind
    name: str
    description: str | None = None
    owner: str | None = None
    file: str | None = None
    url: str | None = None
    generated: bool = False

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


class Tables(Protocol):
    """dbt's tables with their columns and rows, whose edges are found when they are asked for."""

    def node(self, id: str) -> Node | None: ...
    def into(self, id: str) -> tuple[Edge, ...]: ...
    def out_of(self, id: str) -> tuple[Edge, ...]: ...
    def parts(self, id: str) -> tuple[str, ...]: ...
    def gaps(self, id: str) -> tuple[Gap, ...]: ...
    def nodes(self) -> Mapping[str, str]: ...
    def place(self, name: str) -> str | None: ...
    def columns(self, name: str) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Definitions:
    """What the definitions say: their nodes by id, the edges between them and from columns, and what is not known.

    `names` are other words for a node's id; `weak` are those that count only where no other word fits.
    """

    nodes: Mapping[str, Node]
    edges: tuple[Edge, ...]
    gaps: tuple[Gap, ...] = ()
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    weak: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


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


class Lineage:
    """The whole graph. Definitions are in it at once; a table's SQL is looked at when a way leads over it."""

    def __init__(self, definitions: Definitions, tables: Tables) -> None:
        self.definitions = definitions
        self.tables = tables
        self._into: dict[str, list[Edge]] = defaultdict(list)
        self._out_of: dict[str, list[Edge]] = defaultdict(list)
        for edge in dict.fromkeys(definitions.edges):
            self._into[edge.target].append(edge)
            self._out_of[edge.source].append(edge)
        self._gaps: dict[str, list[Gap]] = defaultdict(list)
        for gap in definitions.gaps:
            self._gaps[gap.node].append(gap)

    def node(self, id: str) -> Node:
        """Raises KeyError for an id that nothing has; `find` is for what people write."""
        found = self.definitions.nodes.get(id) or self.tables.node(id)
        if found is None:
            raise KeyError(id)
        return found

    def find(self, name: str) -> tuple[Node, ...]:
        """The node of that name; several for an entity, which is one thing in several models.

        Raises UnknownNameError (G751) for a name that nothing has, and QueryError (G750) for one that several have.
        """
        from gemel.graph.names import find

        return find(self, name)

    def parents(self, node: str) -> tuple[Edge, ...]:
        """The edges into a node, by its id: those by which it is made of others first."""
        return _sorted([*self._into.get(node, ()), *self.tables.into(node)])

    def children(self, node: str) -> tuple[Edge, ...]:
        """The edges out of a node, by its id."""
        return _sorted([*self._out_of.get(node, ()), *self.tables.out_of(node)])

    def upstream(self, *nodes: Node) -> Part:
        """All that nodes come from."""
        return self._walked(nodes, [node.id for node in nodes], self.parents, _source)

    def downstream(self, *nodes: Node) -> Part:
        """All that nodes go to. What goes out of a table or a feature view goes out of its parts."""
        return self._walked(nodes, self.with_parts(nodes), self.children, _target)

    def impact(self, *nodes: Node) -> Impact:
        """All that changes if nodes change, by kind."""
        part = self.downstream(*nodes)
        whole = [start for start in self.with_parts(nodes) if self.node(start).kind != "rows"]
        values = _reached(whole, [edge for edge in part.edges if edge.why in VALUE])
        own = {edge.target for node in nodes for edge in self.children(node.id) if node.kind == "column"}
        own = {id for id in own if self.node(id).kind in TABLES}
        groups: dict[Kind, tuple[Node, ...]] = {}
        for kind in IMPACTED:
            found = [node for node in part.nodes if node.kind == kind and node not in nodes and node.id not in own]
            if found:
                groups[kind] = tuple(sorted(found, key=lambda node: node.name))
        return Impact(nodes, groups, frozenset(values), part.gaps)

    def with_parts(self, nodes: Iterable[Node]) -> tuple[str, ...]:
        """The ids of nodes, of the rows and columns of those that are tables, and of a feature view's features."""
        nodes = tuple(nodes)
        starts = [node.id for node in nodes]
        for node in nodes:
            starts += self.tables.parts(node.id)
            if node.kind == "feature_view":
                starts += [edge.source for edge in self._into.get(node.id, ()) if edge.why == "part"]
        return tuple(dict.fromkeys(starts))

    def _walked(
        self,
        nodes: tuple[Node, ...],
        starts: Iterable[str],
        edges_of: Callable[[str], tuple[Edge, ...]],
        end_of: Callable[[Edge], str],
    ) -> Part:
        seen, edges = dict.fromkeys(starts), dict[Edge, None]()
        level = list(seen)
        while level:
            found = [edge for each in level for edge in edges_of(each)]
            edges |= dict.fromkeys(found)
            level = [end for end in dict.fromkeys(map(end_of, found)) if end not in seen]
            seen |= dict.fromkeys(level)
        gaps = dict.fromkeys(gap for each in seen for gap in self.gaps(each))
        return Part(nodes, tuple(map(self.node, seen)), tuple(edges), tuple(gaps))

    def gaps(self, node: str) -> tuple[Gap, ...]:
        """Where a node's lineage is not known by columns, and why."""
        return (*self._gaps.get(node, ()), *self.tables.gaps(node))


def _source(edge: Edge) -> str:
    return edge.source


def _target(edge: Edge) -> str:
    return edge.target


def _sorted(edges: Iterable[Edge]) -> tuple[Edge, ...]:
    return tuple(sorted(dict.fromkeys(edges), key=lambda edge: not edge.direct))


def _reached(starts: Iterable[str], edges: Iterable[Edge]) -> set[str]:
    onward: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        onward[edge.source].append(edge.target)
    seen, level = set(starts), list(starts)
    while level:
        level = [each for each in {end for start in level for end in onward[start]} if each not in seen]
        seen.update(level)
    return seen
