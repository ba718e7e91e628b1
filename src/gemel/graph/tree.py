"""A lineage as text for people: a tree for each side, with the subtree of each node once, and the impact by kind."""

from collections.abc import Callable, Iterable, Iterator

from gemel.graph.graph import MeaningGraph
from gemel.graph.nodes import Edge, Gap, Impact, Node

WORDS = {
    "saved_query": "saved query",
    "bi_view": "BI view",
    "feature_view": "feature view",
    "feature_service": "feature service",
    "rows": "rows of",
}
_PLURALS = {"entity": "entities", "saved_query": "saved queries"}


def format_trees(lineage: MeaningGraph, nodes: tuple[Node, ...], *, sides: tuple[str, ...]) -> Iterator[str]:
    """The lines of the trees upstream (`up`) and downstream (`down`) of nodes, and of the gaps in them."""
    yield _heading(nodes)
    gaps: dict[Gap, None] = {}
    for side in sides:
        match side:
            case "up":
                title, part = "comes from", lineage.upstream(*nodes)
                lines = list(_Tree(lineage, lineage.parents, _source, ()).lines(nodes))
            case _:
                title, part = "goes to", lineage.downstream(*nodes)
                parts = lineage.with_parts(nodes)[len(nodes) :]
                lines = list(_Tree(lineage, lineage.children, _target, parts).lines(nodes))
        yield ""
        yield f"{title}{':' if lines else ': nothing'}"
        yield from lines
        gaps |= dict.fromkeys(part.gaps)
    yield from _gaps(gaps)


def format_impact(impact: Impact) -> Iterator[str]:
    """The lines of an impact, by kind, with a note for each node in which only the set of rows changes."""
    if not impact.groups:
        yield "nothing else changes"
    for kind, nodes in impact.groups.items():
        word = WORDS.get(kind, kind)
        yield f"{_PLURALS.get(kind, word + 's')} ({len(nodes)})"
        for node in nodes:
            rows = "" if node.id in impact.values else "  (only by which rows count, or how they are grouped)"
            yield f"  {node.name}{_owner(node)}{rows}"
    yield from _gaps(impact.gaps)


def _gaps(gaps: Iterable[Gap]) -> Iterator[str]:
    lines = [f"  {_label(gap.node)}: {gap.reason}" for gap in gaps]
    if lines:
        yield from ("", "not known by columns:", *lines)


def _label(id: str) -> str:
    kind, _, name = id.partition(":")
    return f"{WORDS.get(kind, kind)} {name}"


def _heading(nodes: tuple[Node, ...]) -> str:
    """`metric late_rate`, `entity carrier (of flights, airlines)`"""
    first = nodes[0]
    if first.kind == "entity":
        name = first.name.rpartition(".")[2]
        return f"entity {name} (of {', '.join(node.name.rpartition('.')[0] for node in nodes)})"
    return f"{_label(first.id)}{_owner(first)}"


class _Tree:
    """Each node with its subtree at its first occurrence; afterwards only with its name."""

    def __init__(
        self,
        lineage: MeaningGraph,
        edges_of: Callable[[str], tuple[Edge, ...]],
        end_of: Callable[[Edge], str],
        parts: tuple[str, ...],
    ) -> None:
        self._lineage = lineage
        self._edges_of = edges_of
        self._end_of = end_of
        self._parts = parts
        self._shown: set[str] = set()

    def lines(self, nodes: tuple[Node, ...]) -> Iterator[str]:
        self._shown.update(node.id for node in nodes)
        ends: dict[str, str] = {}
        for start in (*(node.id for node in nodes), *self._parts):
            for end, why in self._beyond(start):
                ends.setdefault(end, why)
        for node in nodes:
            ends.pop(node.id, None)
        yield from self._branches([(end, why) for end, why in ends.items() if end not in self._parts])

    def _branches(self, ends: list[tuple[str, str]]) -> Iterator[str]:
        """Not recursive: models and metrics can be nested hundreds deep."""
        waiting = _branches_of(ends, "")
        while waiting:
            end, why, indent, is_last = waiting.pop()
            beyond = self._beyond(end)
            above = end in self._shown and bool(beyond)
            node = self._lineage.node(end)
            words = [word for word in (why, "above" if above else "") if word]
            note = f"  ({', '.join(words)})" if words else ""
            yield f"{indent}{'└── ' if is_last else '├── '}{_label(end)}{_owner(node)}{note}"
            if not above:
                self._shown.add(end)
                waiting += _branches_of(beyond, indent + ("    " if is_last else "│   "))

    def _beyond(self, id: str) -> list[tuple[str, str]]:
        """The nodes one step on, each with the reason if that is not its value. The table of a column is omitted if it
        leads nowhere."""
        ends: dict[str, str] = {}
        for edge in self._edges_of(id):
            end = self._end_of(edge)
            if edge.why == "part" and id.startswith(("column:", "rows:")) and not self._edges_of(end):
                continue
            ends.setdefault(end, _REASONS.get(edge.why, ""))
        return list(ends.items())


def _branches_of(ends: list[tuple[str, str]], indent: str) -> list[tuple[str, str, str, bool]]:
    """The branches of one node in reverse, as a stack takes them, each with whether it is the lowest."""
    return [(end, why, indent, place == 0) for place, (end, why) in enumerate(reversed(ends))]


_REASONS = {
    "join": "join",
    "filter": "filter",
    "group_by": "group by",
    "sort": "order",
    "window": "window",
    "conditional": "condition",
    "table": "the whole table",
}


def _owner(node: Node) -> str:
    return f", {node.owner}" if node.owner else ""


def _source(edge: Edge) -> str:
    return edge.source


def _target(edge: Edge) -> str:
    return edge.target
