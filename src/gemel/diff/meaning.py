"""Two states compared by meaning: what was added, removed, changed, touched.

A definition changed if its own text did, and is touched if only something that it is made of changed. Both by
meaning: names of aliases, the order of keys, blanks and comments are none.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gemel.diff.causes import Causes, Side, Subject
from gemel.diff.graphs import graphs
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
"""What a report calls nodes, in its order."""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a definition. `causes` are the ways to what changed: `("metric a", "model b")`.

    `same_as` names definitions that mean the same under another name, of one that was added or removed.
    """

    kind: str
    name: str
    how: How
    causes: tuple[tuple[str, ...], ...] = ()
    same_as: tuple[str, ...] = ()
    find: Callable[[Subject], Place | None] = field(default=lambda _: None, compare=False, repr=False)

    @property
    def place(self) -> Place | None:
        """Where it is written: in the newer state, if it is there. None where that is not found."""
        return self.find((self.kind, self.name))


def compare(before: State, after: State) -> tuple[Change, ...]:
    """All that is not the same, by kind and name."""
    pair = graphs(before, after)
    old, new = _side(before, pair.old), _side(after, pair.new)
    causes = Causes(pair, old, new)
    found: list[Change] = []
    for subject in dict.fromkeys((*old.ids, *new.ids)):
        kind, name = subject
        if subject not in old.ids:
            found.append(Change(kind, name, "added", same_as=_twins(subject, new, old), find=new.place))
        elif subject not in new.ids:
            found.append(Change(kind, name, "removed", same_as=_twins(subject, old, new), find=old.place))
        elif pair.differ(old.ids[subject], new.ids[subject]):
            how: How = "changed" if causes.is_own(subject) else "touched"
            found.append(Change(kind, name, how, causes.of(subject), find=new.place))
        elif old.nodes[subject].words.split() != new.nodes[subject].words.split():
            found.append(Change(kind, name, "description", find=new.place))
    order = list(KINDS.values())
    return tuple(sorted(found, key=lambda each: (order.index(each.kind), each.name)))


def _side(state: State, graph: MeaningGraph) -> Side:
    """The nodes that a report tells of; of a ratio's sides as features, nobody wrote anything."""
    definitions = graph.definitions
    nodes: dict[str, Node] = {**definitions.nodes, **definitions.unlisted}
    nodes |= {id: graph.node(id) for id in graph.tables.dbt_ids().values()}
    subjects: dict[str, Subject] = {}
    for id, node in nodes.items():
        about, kind = node.about, KINDS.get(node.kind)
        if kind is not None and (about is not None or node.kind in TABLES):
            # A dimension goes by its semantic model's name, as an entity does.
            of_model = about is not None and node.kind == "dimension"
            subjects[id] = (kind, f"{about.name}.{about.element}" if about is not None and of_model else node.name)
    written = {subject: nodes[id] for id, subject in subjects.items()}
    return Side(state, graph, written, {subject: id for id, subject in subjects.items()})


def _twins(subject: Subject, side: Side, other: Side) -> tuple[str, ...]:
    """Those of the other state that mean the same: a metric that was renamed."""
    kind, _ = subject
    if kind not in ("metric", "dimension", "entity"):
        return ()
    meaning = side.graph.meaning(side.ids[subject])
    gone = [each for each in other.ids if each[0] == kind and each not in side.ids]
    return tuple(name for kind, name in gone if other.graph.meaning(other.ids[kind, name]) == meaning)
