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
    """The lines of a flowchart from left to right. What a value is made of is a whole line, the rest a dotted one."""
    nodes = dict.fromkeys(node for part in parts for node in part.nodes)
    starts = {node.id for part in parts for node in part.starts}
    handles = {node.id: f"n{number}" for number, node in enumerate(nodes)}
    yield "flowchart LR"
    for node in nodes:
        opening, closing = _SHAPES.get(node.kind, ("[", "]"))
        bold = ":::asked" if node.id in starts else ""
        yield f'    {handles[node.id]}{opening}"{_worded(node)}"{closing}{bold}'
    for edge in dict.fromkeys(edge for part in parts for edge in part.edges):
        arrow = "-->" if edge.direct and edge.why != "table" else f"-. {edge.why.replace('_', ' ')} .->"
        yield f"    {handles[edge.source]} {arrow} {handles[edge.target]}"
    yield "    classDef asked stroke-width:3px"


def _worded(node: Node) -> str:
    """Words in quotes: only a quote would end them, and a `<` would be taken for HTML."""
    told = f"{WORDS.get(node.kind, node.kind)} {node.name}"
    for char, code in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        told = told.replace(char, code)
    return told
