"""Two states compared by meaning: what was added, removed, changed, touched.

A definition changed if its own text did, and is touched if only something that it is made of changed. Both by
meaning: names of aliases, the order of keys, blanks and comments are none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from gemel.diff.causes import Causes
from gemel.diff.definitions import Definition, definitions
from gemel.diff.models import Models
from gemel.diff.states import State
from gemel.diff.telling import OWN, Part
from gemel.errors import Place
from gemel.spec.project import DbtProject

How = Literal["added", "removed", "changed", "touched", "description"]

KINDS = (
    *("source", "seed", "snapshot", "model", "time spine", "semantic model", "entity", "dimension", "metric"),
    *("saved query", "view", "feature view", "feature", "feature service", "exposure"),
)
"""In the order in which a report tells them."""


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
    if not (before.models.dbt.is_parsed and after.models.dbt.is_parsed):  # a table is known by its place only, in both
        before, after = (
            replace(state, models=Models(DbtProject(), dialect=state.models.dialect)) for state in (before, after)
        )
    old, new = definitions(before), definitions(after)
    causes = Causes(before.models, after.models, old, new)
    found: list[Change] = []
    for part in dict.fromkeys((*old, *new)):
        kind, name = part
        was, is_ = old.get(part), new.get(part)
        if is_ is None or was is None:
            how: How = "removed" if is_ is None else "added"
            state, gone = (before, was) if is_ is None else (after, is_)
            assert gone is not None
            found.append(Change(kind, name, how, (), _place(state, gone), _twins(part, gone, old, new)))
        elif was.meaning != is_.meaning:
            how = "changed" if was.parts.get(OWN) != is_.parts.get(OWN) or _own_part(was, is_) else "touched"
            found.append(Change(kind, name, how, causes.of(part), _place(after, is_)))
        elif was.words != is_.words:
            found.append(Change(kind, name, "description", (), _place(after, is_)))
    return tuple(sorted(found, key=lambda each: (KINDS.index(each.kind), each.name)))


_OWN_PARTS = ("measure",)
"""Parts that no definition of the report is: a change in them is the metric's own."""


def _own_part(was: Definition, is_: Definition) -> bool:
    """Of a simple metric, its measure is its own; of others, it is their inputs'."""
    if any(kind in ("metric", "feature") for kind, _ in is_.parts):
        return False
    names = {part for each in (was, is_) for part in each.parts if part[0] in _OWN_PARTS}
    return any(was.parts.get(part) != is_.parts.get(part) for part in names)


def _twins(
    part: Part, gone: Definition, old: Mapping[Part, Definition], new: Mapping[Part, Definition]
) -> tuple[str, ...]:
    """Those of the other state that mean the same: a metric that was renamed."""
    other, own = (old, new) if part in new else (new, old)
    if part[0] not in ("metric", "dimension", "entity"):
        return ()
    return tuple(
        name
        for (kind, name), each in other.items()
        if kind == part[0] and each.meaning == gone.meaning and (kind, name) not in own
    )


def _place(state: State, definition: Definition) -> Place | None:
    about = definition.about
    if about is None:
        return None
    if about.kind == "exposure":
        file = next((each.file for each in state.models.dbt.exposures if each.name == about.name), None)
        return Place(file) if file else None
    if about.kind == "model":
        node = next((node for node in state.models.nodes.values() if node.name == about.name), None)
        return Place(node.file) if node and node.file and node.kind != "source" else None
    return state.session.place(about)
