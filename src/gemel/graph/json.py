"""A lineage for programs: plain values that JSON can carry."""

from typing import Any

from gemel.graph.nodes import Edge, Gap, Impact, Node, Part


def write_parts(starts: tuple[Node, ...], *parts: Part) -> dict[str, Any]:
    """`starts` are ids; an edge says from which node to which, why, and whether directly."""
    return {
        "starts": [node.id for node in starts],
        "nodes": [_node(node) for node in dict.fromkeys(node for part in parts for node in part.nodes)],
        "edges": [_edge(edge) for edge in dict.fromkeys(edge for part in parts for edge in part.edges)],
        "unresolved": [_gap(gap) for gap in dict.fromkeys(gap for part in parts for gap in part.gaps)],
    }


def write_impact(impact: Impact) -> dict[str, Any]:
    """What changes by kind; `by` says whether values change on the same rows, or only which rows count."""
    return {
        "starts": [node.id for node in impact.starts],
        "impact": {
            kind: [_node(node) | {"by": "value" if node.id in impact.values else "rows"} for node in nodes]
            for kind, nodes in impact.groups.items()
        },
        "unresolved": [_gap(gap) for gap in impact.gaps],
    }


def _node(node: Node) -> dict[str, Any]:
    said = {
        "id": node.id,
        "kind": node.kind,
        "name": node.name,
        "description": node.description,
        "owner": node.owner,
        "file": node.file,
        "url": node.url,
    }
    return {key: value for key, value in said.items() if value is not None}


def _edge(edge: Edge) -> dict[str, Any]:
    return {"from": edge.source, "to": edge.target, "why": edge.why, "direct": edge.direct}


def _gap(gap: Gap) -> dict[str, Any]:
    return {"node": gap.node, "reason": gap.reason}
