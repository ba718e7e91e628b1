"""Two states compared by meaning: what was added, removed, changed, touched.

A definition is changed if its own text changed, and touched if only its inputs changed. Only the meaning counts:
aliases, the order of keys, blanks and comments do not.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gemel.diff.causes import Causes, Side, Subject
from gemel.diff.graphs import read_graphs
from gemel.diff.states import State
from gemel.errors import Place
from gemel.graph.graph import MeaningGraph
from gemel.graph.nodes import TABLES, Kind, Node

How = Literal["added", "removed", "changed", "touched", "description"]

KINDS: Mapping[Kind, str] = {
    "source": "source",
    "seed": "seed",
    "snapshot": "snapshot",
    "model": "model",
    "time_spine": "time spine",
    "semantic_model": "semantic model",
    "entity": "entity",
    "dimension": "dimension",
    "metric": "metric",
    "saved_query": "saved query",
    "bi_view": "view",
    "feature_view": "feature view",
    "feature": "feature",
    "feature_service": "feature service",
    "exposure": "exposure",
}
"""The words of a report for kinds of nodes, in the order of the report."""


@dataclass(frozen=True, slots=True)
class Change:
    """The change of a definition. `causes` are the paths to what changed: `("metric a", "model b")`.

    If a definition was added or removed, `same_as` has the definitions that mean the same under another name.
    """

    kind: str
    name: str
    how: How
    causes: tuple[tuple[str, ...], ...] = ()
    same_as: tuple[str, ...] = ()
    find: Callable[[Subject], Place | None] = field(default=lambda _: None, compare=False, repr=False)

    @property
    def place(self) -> Place | None:
        """The place of the definition, in the newer state if it is there; None if it is not found."""
        return self.find((self.kind, self.name))


def compare(before: State, after: State) -> tuple[Change, ...]:
    """All changes, by kind and name."""
    pair = read_graphs(before, after)
    old, new = _side(before, pair.old), _side(after, pair.new)
    causes = Causes(pair, old, new)
    changes: list[Change] = []
    for subject in dict.fromkeys((*old.ids, *new.ids)):
        kind, name = subject
        if subject not in old.ids:
            changes.append(Change(kind, name, "added", same_as=_twins(subject, new, old), find=new.place))
        elif subject not in new.ids:
            changes.append(Change(kind, name, "removed", same_as=_twins(subject, old, new), find=old.place))
        elif pair.differ(old.ids[subject], new.ids[subject]):
            how: How = "changed" if causes.is_own(subject) else "touched"
            changes.append(Change(kind, name, how, causes.of(subject), find=new.place))
        elif old.nodes[subject].words.split() != new.nodes[subject].words.split():
            changes.append(Change(kind, name, "description", find=new.place))
    order = list(KINDS.values())
    return tuple(sorted(changes, key=lambda each: (order.index(each.kind), each.name)))


def _side(state: State, graph: MeaningGraph) -> Side:
    """The nodes that a report lists: those with a definition, which the sides of a ratio as features do not have."""
    definitions = graph.definitions
    nodes: dict[str, Node] = {**definitions.nodes, **definitions.unlisted}
    nodes |= {id: graph.node(id) for id in graph.tables.dbt_ids().values()}
    subjects: dict[str, Subject] = {}
    for id, node in nodes.items():
        about, kind = node.about, KINDS.get(node.kind)
        if kind is not None and (about is not None or node.kind in TABLES):
            # The name of a dimension has its semantic model, like that of an entity.
            of_model = about is not None and node.kind == "dimension"
            subjects[id] = (kind, f"{about.name}.{about.element}" if about is not None and of_model else node.name)
    written = {subject: nodes[id] for id, subject in subjects.items()}
    return Side(state, graph, written, {subject: id for id, subject in subjects.items()})


def _twins(subject: Subject, side: Side, other: Side) -> tuple[str, ...]:
    """The definitions of the other state that mean the same, such as a metric before it was renamed."""
    kind, _ = subject
    if kind not in ("metric", "dimension", "entity"):
        return ()
    meaning = side.graph.meaning(side.ids[subject])
    gone = [each for each in other.ids if each[0] == kind and each not in side.ids]
    return tuple(name for kind, name in gone if other.graph.meaning(other.ids[kind, name]) == meaning)
