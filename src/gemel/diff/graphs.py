"""Two states as graphs of meaning. What both have alike, text by text down to the sources, is looked at once."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from gemel.dbt.rendering import Renderer
from gemel.diff.states import State
from gemel.graph.building import assemble, with_models
from gemel.graph.graph import MeaningGraph
from gemel.graph.readers import VIEWS
from gemel.spec.project import DbtProject, Node


def graphs(before: State, after: State) -> "Graphs":
    """The SQL of models is as it is written: what dbt compiled, it compiled of one state and at one time."""
    old, new = _renderers(before, after)
    same = frozenset(_alike(old, new))
    first = assemble(before.session.graph, before.features, old, old.render_written, same=same)
    if _define_the_same(before, after, old.project, new.project):
        return Graphs(first, with_models(first, new, new.render_written, same=same), same)
    second = assemble(after.session.graph, after.features, new, new.render_written, same=same, other=first)
    return Graphs(first, second, same)


@dataclass(frozen=True, slots=True)
class Graphs:
    """`same` are the ids of dbt's nodes that both have alike."""

    old: MeaningGraph
    new: MeaningGraph
    same: frozenset[str]
    _differ: dict[str, bool] = field(default_factory=dict)

    def differ(self, was: str, is_: str) -> bool:
        """Whether a node means something else. Where only models differ, it does if something that it is made of
        does."""
        if self.old.definitions is not self.new.definitions:
            return self.old.meaning(was) != self.new.meaning(is_)
        found, derivations, waiting, above = self._differ, self.new.definitions.derivations, [is_], {is_}
        while waiting:
            each = waiting[-1]
            if each in found:
                waiting.pop()
            elif each not in derivations:
                found[waiting.pop()] = self._tables_differ(each)
            elif below := [id for id, _ in derivations[each].uses if id not in found and id not in above]:
                waiting += below
                above |= {*below}
            else:
                found[waiting.pop()] = any(found.get(id, False) for id, _ in derivations[each].uses)
        return found[is_]

    def own_differ(self, was: str, is_: str) -> bool:
        """Whether a node says something else itself."""
        if self.old.definitions is self.new.definitions and is_ in self.new.definitions.derivations:
            return False
        return not self.new.tables.is_same(is_) and self.old.own(was) != self.new.own(is_)

    def _tables_differ(self, id: str) -> bool:
        return not self.new.tables.is_same(id) and self.old.meaning(id) != self.new.meaning(id)


def _renderers(before: State, after: State) -> tuple[Renderer, Renderer]:
    """Without the manifest of one, a table is known by its place only, in both."""
    if not (before.dbt.is_parsed and after.dbt.is_parsed):
        return Renderer(DbtProject()), Renderer(DbtProject())
    return Renderer(before.dbt, before.variables), Renderer(after.dbt, after.variables)


def _define_the_same(before: State, after: State, old: DbtProject, new: DbtProject) -> bool:
    """Whether only the SQL of models can differ, and what dbt says beside it is what definitions look at."""
    if before.session.graph is not after.session.graph or before.features is not after.features:
        return False
    looked_at = [
        (
            [(each, each.gemel) for each in dbt.exposures],
            [
                (each.id, each.unique_name, each.relation, each.materialized, [*each.columns], each.gemel)
                for each in dbt.nodes.values()
            ],
            [(each.description, each.owner, each.file) for each in dbt.nodes.values() if each.gemel],
        )
        for dbt in (old, new)
    ]
    return looked_at[0] == looked_at[1]


def _alike(old: Renderer, new: Renderer) -> Iterator[str]:
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
