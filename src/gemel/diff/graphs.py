"""Two states as graphs of meaning. What both have alike, text by text down to the sources, is looked at once."""

from collections.abc import Iterator

from gemel.dbt.rendering import Renderer
from gemel.diff.states import State
from gemel.graph.building import assemble
from gemel.graph.graph import MeaningGraph
from gemel.graph.readers import VIEWS
from gemel.spec.project import DbtProject, Node


def graphs(before: State, after: State) -> tuple[MeaningGraph, MeaningGraph]:
    """The SQL of models is as it is written: what dbt compiled, it compiled of one state and at one time."""
    old, new = renderers(before, after)
    same = frozenset(alike(old, new))
    first = assemble(before.session.graph, before.features, old, old.as_written, same=same)
    second = assemble(after.session.graph, after.features, new, new.as_written, same=same, other=first)
    return first, second


def renderers(before: State, after: State) -> tuple[Renderer, Renderer]:
    """Without the manifest of one, a table is known by its place only, in both."""
    if not (before.dbt.is_parsed and after.dbt.is_parsed):
        return Renderer(DbtProject()), Renderer(DbtProject())
    return Renderer(before.dbt, before.variables), Renderer(after.dbt, after.variables)


def alike(old: Renderer, new: Renderer) -> Iterator[str]:
    """The ids of the nodes that say the same in both, as does everything that they read."""
    found: dict[str, bool] = {}
    for each in new.project.nodes:
        waiting = [each]
        while waiting:  # not by calls: models stand on each other hundreds deep
            id = waiting[-1]
            node, other = new.project.nodes.get(id), old.project.nodes.get(id)
            if id in found or node is None or other is None or not _says_the_same(old, new, other, node):
                found.setdefault(waiting.pop(), False)
                continue
            above = [parent for parent in node.parents if parent not in found and parent not in waiting]
            if above:
                waiting += above
                continue
            found[waiting.pop()] = all(found.get(parent, False) for parent in node.parents)
    yield from (id for id, same in found.items() if same)


def _says_the_same(old: Renderer, new: Renderer, before: Node, after: Node) -> bool:
    """What gemel generates is compared as what it is generated from."""
    if any(key in after.gemel for key in VIEWS) or before.parents != after.parents:
        return False
    same = [
        (node.unique_name, node.relation_name, node.checksum if node.kind == "seed" else None, node.language)
        for node in (before, after)
    ]
    snapshots = [node.config if node.kind == "snapshot" else None for node in (before, after)]
    return same[0] == same[1] and snapshots[0] == snapshots[1] and old.text(before) == new.text(after)
