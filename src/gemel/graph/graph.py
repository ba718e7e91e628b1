"""The graph of meaning: paths along its edges, and a digest of what each node means."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from threading import RLock
from typing import TYPE_CHECKING

from gemel.graph.names import find
from gemel.graph.nodes import IMPACTED, TABLES, VALUE, Definitions, Edge, Gap, Impact, Kind, Node, Part
from gemel.tracing.derivations import Derivation, Digests, Why

if TYPE_CHECKING:
    from gemel.graph.tables import DbtTables


class MeaningGraph:
    """The whole graph. Definitions are in it from the start; the SQL of a table is traced when a path leads through it.

    Both the edges into a node and its meaning follow from its derivation, so they cannot disagree.
    """

    def __init__(self, definitions: Definitions, tables: "DbtTables") -> None:
        self.definitions = definitions
        self.tables = tables
        self._out_of: dict[str, list[tuple[str, Why]]] = defaultdict(list)
        for id, derivation in definitions.derivations.items():
            for source, why in derivation.uses:
                self._out_of[source].append((id, why))
        self._gaps: dict[str, list[Gap]] = defaultdict(list)
        for gap in definitions.gaps:
            self._gaps[gap.node].append(gap)
        self._meanings: dict[str, str] = {}
        self._pending: set[str] = set()  # of the thread that has the lock
        self._lock = RLock()
        self._digests = Digests(self._meaning_of)
        self._own = Digests(str, by_name=True)

    def node(self, id: str) -> Node:
        """Raises KeyError for an unknown id; `find` takes the names that people write."""
        node = self.definitions.nodes.get(id) or self.tables.node(id)
        if node is None:
            raise KeyError(id)
        return node

    def find(self, name: str) -> tuple[Node, ...]:
        """The node of that name; several nodes for an entity, one for each of its models.

        Raises UnknownNameError (G751) for an unknown name, and QueryError (G750) for the name of several things.
        """
        return find(self, name)

    def derivation(self, id: str) -> Derivation | None:
        """The derivation of a node; None for an unknown id."""
        return self.definitions.derivations.get(id) or self.tables.derivation(id)

    def own(self, id: str) -> str:
        """A digest of a node's own definition, in which its inputs count by name."""
        derivation = self.derivation(id)
        return self.own_of(derivation) if derivation is not None else ""

    def own_of(self, derivation: Derivation) -> str:
        """The same for a derivation."""
        return self._own(derivation)

    def meaning(self, id: str) -> str:
        """A digest that changes if anything changes that the node is computed from, down to the sources."""
        with self._lock:
            return self._compute_meaning(id)

    def _compute_meaning(self, id: str) -> str:
        waiting = [id]
        while waiting:  # not recursive: models and metrics can be nested hundreds deep
            each = waiting[-1]
            derivation = self.derivation(each) if each not in self._meanings else None
            if derivation is None:
                self._meanings.setdefault(waiting.pop(), each)
                continue
            self._pending.add(each)
            below = [id for id, _ in derivation.uses if id not in self._meanings and id not in self._pending]
            if below:
                waiting += below
                continue
            self._meanings[waiting.pop()] = self._digests(derivation)
            self._pending.discard(each)
        return self._meanings[id]

    def _meaning_of(self, id: str) -> str:
        if id in self._pending:  # metrics in a circle
            return self._meanings.get(id, id)
        return self._meanings.get(id) or self.meaning(id)

    def parents(self, node: str) -> tuple[Edge, ...]:
        """The edges into a node, by its id, direct ones first."""
        derivation = self.definitions.derivations.get(node)
        own = [Edge(source, node, why) for source, why in derivation.uses] if derivation is not None else []
        return _sorted([*own, *self.tables.into(node)])

    def children(self, node: str) -> tuple[Edge, ...]:
        """The edges out of a node, by its id."""
        own = [Edge(node, target, why) for target, why in self._out_of.get(node, ())]
        return _sorted([*own, *self.tables.out_of(node)])

    def upstream(self, *nodes: Node) -> Part:
        """Everything that nodes come from."""
        return self._walk(nodes, [node.id for node in nodes], self.parents, _source)

    def downstream(self, *nodes: Node) -> Part:
        """Everything that nodes go to. Edges out of a table or a feature view lead out of its parts."""
        return self._walk(nodes, self.with_parts(nodes), self.children, _target)

    def impact(self, *nodes: Node) -> Impact:
        """Everything that changes if nodes change, by kind."""
        part = self.downstream(*nodes)
        whole = [start for start in self.with_parts(nodes) if self.node(start).kind != "rows"]
        values = _reach(whole, [edge for edge in part.edges if edge.why in VALUE])
        own = {edge.target for node in nodes for edge in self.children(node.id) if node.kind == "column"}
        own = {id for id in own if self.node(id).kind in TABLES}
        groups: dict[Kind, tuple[Node, ...]] = {}
        for kind in IMPACTED:
            group = [node for node in part.nodes if node.kind == kind and node not in nodes and node.id not in own]
            if group:
                groups[kind] = tuple(sorted(group, key=lambda node: node.name))
        return Impact(nodes, groups, frozenset(values), part.gaps)

    def with_parts(self, nodes: Iterable[Node]) -> tuple[str, ...]:
        """The ids of nodes, of the rows and columns of tables among them, and of the features of feature views."""
        nodes = tuple(nodes)
        starts = [node.id for node in nodes]
        for node in nodes:
            starts += self.tables.parts(node.id)
            if node.kind == "feature_view":
                starts += [edge.source for edge in self.parents(node.id) if edge.why == "part"]
        return tuple(dict.fromkeys(starts))

    def _walk(
        self,
        nodes: tuple[Node, ...],
        starts: Iterable[str],
        edges_of: Callable[[str], tuple[Edge, ...]],
        end_of: Callable[[Edge], str],
    ) -> Part:
        seen, edges = dict.fromkeys(starts), dict[Edge, None]()
        level = list(seen)
        while level:
            next_edges = [edge for each in level for edge in edges_of(each)]
            edges |= dict.fromkeys(next_edges)
            level = [end for end in dict.fromkeys(map(end_of, next_edges)) if end not in seen]
            seen |= dict.fromkeys(level)
        gaps = dict.fromkeys(gap for each in seen for gap in self.gaps(each))
        return Part(nodes, tuple(map(self.node, seen)), tuple(edges), tuple(gaps))

    def gaps(self, node: str) -> tuple[Gap, ...]:
        """The gaps in the lineage of a node by columns, with their reasons."""
        return (*self._gaps.get(node, ()), *self.tables.gaps(node))


def _source(edge: Edge) -> str:
    return edge.source


def _target(edge: Edge) -> str:
    return edge.target


def _sorted(edges: Iterable[Edge]) -> tuple[Edge, ...]:
    return tuple(sorted(dict.fromkeys(edges), key=lambda edge: not edge.direct))


def _reach(starts: Iterable[str], edges: Iterable[Edge]) -> set[str]:
    onward: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        onward[edge.source].append(edge.target)
    seen, level = set(starts), list(starts)
    while level:
        level = [each for each in {end for start in level for end in onward[start]} if each not in seen]
        seen.update(level)
    return seen
