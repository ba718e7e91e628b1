"""A lineage for programs, as JSON values."""

from typing import Any

from gemel.graph.nodes import Edge, Gap, Impact, Node, Part


def write_parts(starts: tuple[Node, ...], *parts: Part) -> dict[str, Any]:
    """`starts` are ids; an edge has its two nodes, the reason, and whether it is direct."""
    return {
        "starts": [node.id for node in starts],
        "nodes": [_node(node) for node in dict.fromkeys(node for part in parts for node in part.nodes)],
        "edges": [_edge(edge) for edge in dict.fromkeys(edge for part in parts for edge in part.edges)],
        "unresolved": [_gap(gap) for gap in dict.fromkeys(gap for part in parts for gap in part.gaps)],
    }


def write_impact(impact: Impact) -> dict[str, Any]:
    """The changes by kind; `by` is `value` if values change on the same rows, and `rows` if only the set of rows
    changes."""
    return {
        "starts": [node.id for node in impact.starts],
        "impact": {
            kind: [_node(node) | {"by": "value" if node.id in impact.values else "rows"} for node in nodes]
            for kind, nodes in impact.groups.items()
        },
        "unresolved": [_gap(gap) for gap in impact.gaps],
    }


def _node(node: Node) -> dict[str, Any]:
    values = {
        "id": node.id,
        "kind": node.kind,
        "name": node.name,
        "description": node.description,
        "owner": node.owner,
        "file": node.file,
        "url": node.url,
    }
    return {key: value for key, value in values.items() if value is not None}


def _edge(edge: Edge) -> dict[str, Any]:
    return {"from": edge.source, "to": edge.target, "why": edge.why, "direct": edge.direct}


def _gap(gap: Gap) -> dict[str, Any]:
    return {"node": gap.node, "reason": gap.reason}
