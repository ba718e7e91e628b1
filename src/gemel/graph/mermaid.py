"""A lineage as a Mermaid flowchart, which GitHub, GitLab and most wikis draw."""

from collections.abc import Iterator

from gemel.graph.nodes import Kind, Node, Part
from gemel.graph.tree import WORDS

_SHAPES: dict[Kind, tuple[str, str]] = {
    "source": ("[(", ")]"),
    "seed": ("[(", ")]"),
    "column": ("[", "]"),
    "metric": ("([", "])"),
    "feature": (">", "]"),
    "feature_service": ("{{", "}}"),
    "exposure": ("{{", "}}"),
}


def draw(*parts: Part) -> Iterator[str]:
    """The lines of a flowchart from left to right. Solid lines are inputs of a value, dotted lines all others."""
    nodes = dict.fromkeys(node for part in parts for node in part.nodes)
    starts = {node.id for part in parts for node in part.starts}
    handles = {node.id: f"n{number}" for number, node in enumerate(nodes)}
    yield "flowchart LR"
    for node in nodes:
        opening, closing = _SHAPES.get(node.kind, ("[", "]"))
        bold = ":::start" if node.id in starts else ""
        yield f'    {handles[node.id]}{opening}"{_label(node)}"{closing}{bold}'
    for edge in dict.fromkeys(edge for part in parts for edge in part.edges):
        arrow = "-->" if edge.direct and edge.why != "table" else f"-. {edge.why.replace('_', ' ')} .->"
        yield f"    {handles[edge.source]} {arrow} {handles[edge.target]}"
    yield "    classDef start stroke-width:3px"


def _label(node: Node) -> str:
    """The text of a quoted label: a quote would end it, and `<` would be HTML."""
    text = f"{WORDS.get(node.kind, node.kind)} {node.name}"
    for char, code in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        text = text.replace(char, code)
    return text
