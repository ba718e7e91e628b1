"""Two states compared by meaning: what was added, removed, changed, touched.

A definition changed if its own text did, and is touched if only something that it is made of changed. Both by
meaning: names of aliases, the order of keys, blanks and comments are none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gemel.diff.causes import Causes, Side, Subject
from gemel.diff.graphs import graphs
from gemel.diff.states import State
from gemel.errors import Place
from gemel.graph.graph import TABLES, Kind, MeaningGraph, Node

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
    place: Place | None = None
    same_as: tuple[str, ...] = ()


def compare(before: State, after: State) -> tuple[Change, ...]:
    """All that is not the same, by kind and name."""
    first, second = graphs(before, after)
    old, new = _side(before, first), _side(after, second)
    causes = Causes(old, new)
    found: list[Change] = []
    for subject in dict.fromkeys((*old.ids, *new.ids)):
        was, is_ = old.node(subject), new.node(subject)
        if was is None or is_ is None:
            side, other = (new, old) if was is None else (old, new)
            how: How = "added" if was is None else "removed"
            found.append(Change(*subject, how, (), side.place(subject), _twins(subject, side, other)))
        elif causes.differ(subject):
            how = "changed" if causes.is_own(subject) else "touched"
            found.append(Change(*subject, how, causes.of(subject), new.place(subject)))
        elif was.words != is_.words:
            found.append(Change(*subject, "description", (), new.place(subject)))
    order = list(KINDS.values())
    return tuple(sorted(found, key=lambda each: (order.index(each.kind), each.name)))


def _side(state: State, graph: MeaningGraph) -> Side:
    """The nodes that a report tells of; of a ratio's sides as features, nobody wrote anything."""
    definitions = graph.definitions
    nodes: dict[str, Node] = {**definitions.nodes, **definitions.unlisted}
    nodes |= {id: graph.node(id) for id in graph.tables.named().values()}
    written = {id: node for id, node in nodes.items() if node.kind in KINDS and (node.about or node.kind in TABLES)}
    return Side(state, graph, {(KINDS[node.kind], _name(node)): id for id, node in written.items()})


def _name(node: Node) -> str:
    """A dimension goes by its semantic model's name, as an entity does."""
    about = node.about
    return f"{about.name}.{about.element}" if about is not None and node.kind == "dimension" else node.name


def _twins(subject: Subject, side: Side, other: Side) -> tuple[str, ...]:
    """Those of the other state that mean the same: a metric that was renamed."""
    kind, _ = subject
    if kind not in ("metric", "dimension", "entity"):
        return ()
    meaning = side.graph.meaning(side.ids[subject])
    gone = [each for each in other.ids if each[0] == kind and each not in side.ids]
    return tuple(name for kind, name in gone if other.graph.meaning(other.ids[kind, name]) == meaning)
