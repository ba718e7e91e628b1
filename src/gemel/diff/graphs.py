"""Two states as graphs of meaning. Nodes that are equal in both, down to the sources, are traced once."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from gemel.dbt.rendering import Renderer
from gemel.diff.states import State
from gemel.graph.building import assemble, with_models
from gemel.graph.graph import MeaningGraph
from gemel.graph.readers import VIEWS
from gemel.spec.project import DbtProject, Node


def read_graphs(before: State, after: State) -> "Graphs":
    """The graphs of two states, over the written SQL of models: the compiled SQL belongs to one state and one time."""
    old, new = _renderers(before, after)
    same = frozenset(_find_equal(old, new))
    first = assemble(before.session.graph, before.features, old, old.render_written, same=same)
    if _define_the_same(before, after, old.project, new.project):
        return Graphs(first, with_models(first, new, new.render_written, same=same), same)
    second = assemble(after.session.graph, after.features, new, new.render_written, same=same, other=first)
    return Graphs(first, second, same)


@dataclass(frozen=True, slots=True)
class Graphs:
    """`same` are the ids of dbt's nodes that are equal in both."""

    old: MeaningGraph
    new: MeaningGraph
    same: frozenset[str]
    _differ: dict[str, bool] = field(default_factory=dict)

    def differ(self, was: str, is_: str) -> bool:
        """Whether the meaning of a node differs. If only models differ, it does if one of its inputs differs."""
        if self.old.definitions is not self.new.definitions:
            return self.old.meaning(was) != self.new.meaning(is_)
        differ, derivations, waiting, above = self._differ, self.new.definitions.derivations, [is_], {is_}
        while waiting:
            each = waiting[-1]
            if each in differ:
                waiting.pop()
            elif each not in derivations:
                differ[waiting.pop()] = self._tables_differ(each)
            elif below := [id for id, _ in derivations[each].uses if id not in differ and id not in above]:
                waiting += below
                above |= {*below}
            else:
                differ[waiting.pop()] = any(differ.get(id, False) for id, _ in derivations[each].uses)
        return differ[is_]

    def own_differ(self, was: str, is_: str) -> bool:
        """Whether a node's own definition differs."""
        if self.old.definitions is self.new.definitions and is_ in self.new.definitions.derivations:
            return False
        return not self.new.tables.is_same(is_) and self.old.own(was) != self.new.own(is_)

    def _tables_differ(self, id: str) -> bool:
        return not self.new.tables.is_same(id) and self.old.meaning(id) != self.new.meaning(id)


def _renderers(before: State, after: State) -> tuple[Renderer, Renderer]:
    """Without the manifest of one state, a table is known only by its place, in both states."""
    if not (before.dbt.is_parsed and after.dbt.is_parsed):
        return Renderer(DbtProject()), Renderer(DbtProject())
    return Renderer(before.dbt, before.variables), Renderer(after.dbt, after.variables)


def _define_the_same(before: State, after: State, old: DbtProject, new: DbtProject) -> bool:
    """Whether only the SQL of models can differ: the definitions, and everything else that they read from dbt, are
    equal."""
    if before.session.graph is not after.session.graph or before.features is not after.features:
        return False
    inputs = [
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
    return inputs[0] == inputs[1]


def _find_equal(old: Renderer, new: Renderer) -> Iterator[str]:
    """The ids of the nodes that are equal in both states, like everything that they read."""
    equal: dict[str, bool] = {}
    for each in new.project.nodes:
        waiting = [each]
        while waiting:  # not recursive: models can be nested hundreds deep
            id = waiting[-1]
            node, other = new.project.nodes.get(id), old.project.nodes.get(id)
            if id in equal or node is None or other is None or not _is_equal(old, new, other, node):
                equal.setdefault(waiting.pop(), False)
                continue
            above = [parent for parent in node.parents if parent not in equal and parent not in waiting]
            if above:
                waiting += above
                continue
            equal[waiting.pop()] = all(equal.get(parent, False) for parent in node.parents)
    yield from (id for id, is_same in equal.items() if is_same)


def _is_equal(old: Renderer, new: Renderer, before: Node, after: Node) -> bool:
    """Whether a node is equal, apart from its inputs. Generated models are never: their definitions are compared."""
    if any(key in after.gemel for key in VIEWS) or before.parents != after.parents:
        return False
    same = [
        (node.unique_name, node.relation_name, node.checksum if node.kind == "seed" else None, node.language)
        for node in (before, after)
    ]
    snapshots = [node.config if node.kind == "snapshot" else None for node in (before, after)]
    return same[0] == same[1] and snapshots[0] == snapshots[1] and old.text(before) == new.text(after)
