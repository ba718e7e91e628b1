"""How a value, or a set of rows, is derived: a text with places, and what stands at each of them."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Literal, get_args

Why = Literal[
    "identity",
    "transformation",
    "aggregation",
    "join",
    "filter",
    "group_by",
    "sort",
    "window",
    "conditional",
    "rows",
    "part",
    "table",
]
"""OpenLineage's words for how a column bears on another, and three more: that a table has rows at all (`rows`), that a
whole has a part (`part`), and that all of a table may bear on it, as its SQL could not be resolved (`table`)."""

DIRECT: frozenset[Why] = frozenset({"identity", "transformation", "aggregation", "part", "table"})
"""Those by which a value is made of another one; the others decide which values it is made of, and in what order."""

_ON_ROWS: frozenset[Why] = frozenset({"join", "filter", "group_by", "sort"})
_STRENGTH: Mapping[Why, int] = {"transformation": 1, "aggregation": 2}


def compose(inner: Why, outer: Why) -> Why:
    """How a part of a part bears on the whole. What decides on rows does so with all that it is made of."""
    if inner in ("rows", "table") or outer == "identity":
        return inner
    if outer in _ON_ROWS or outer == "table":
        return outer
    if inner not in DIRECT:
        return inner
    if outer not in DIRECT:
        return outer
    return max(inner, outer, key=lambda why: _STRENGTH.get(why, 0))


_COMPOSED = {(inner, outer): compose(inner, outer) for inner, outer in product(get_args(Why), repeat=2)}


@dataclass(frozen=True, slots=True, eq=False)
class Derivation:
    """`amount - discount` of orders: the text of a difference, over the columns `column:orders.amount` and the other.

    A part is a node's id, or a derivation in turn, with how it bears on the whole; with None it belongs to what the
    whole means, and is no edge. `uses` are the ids below, each with how it bears. Without a text and with a single part
    a derivation is that part. `fields` are the fields of a struct that is built here.
    """

    text: str
    parts: "tuple[tuple[Why | None, Derivation | str], ...]" = ()
    fields: "Mapping[str, Derivation]" = field(default_factory=dict)
    uses: Mapping[tuple[str, Why], None] = field(init=False)

    def __post_init__(self) -> None:
        uses: dict[tuple[str, Why], None] = {}
        for why, part in self.parts:
            if why is None:
                continue
            if isinstance(part, str):
                uses[part, why] = None
            else:
                for id, inner in part.uses:
                    uses[id, _COMPOSED[inner, why]] = None
        object.__setattr__(self, "uses", uses)


def of_node(id: str, why: Why = "identity") -> Derivation:
    """A node as it is."""
    return Derivation("", ((why, id),))


class Digests:
    """Derivations to digests, in which each node stands as `of` says: by its id, or by what it means."""

    def __init__(self, of: Callable[[str], str]) -> None:
        self._of = of
        self._kept: dict[int, tuple[Derivation, str]] = {}

    def __call__(self, derivation: Derivation) -> str:
        kept, waiting = self._kept, [derivation]
        while waiting:  # not by calls: CTEs stand on each other hundreds deep
            each = waiting[-1]
            inner = [p for _, p in each.parts if not isinstance(p, str) and id(p) not in kept]
            if inner:
                waiting += inner
                continue
            waiting.pop()
            if id(each) in kept:
                continue
            parts = [(why or "", self._of(p) if isinstance(p, str) else kept[id(p)][1]) for why, p in each.parts]
            if not each.text and len(parts) == 1:
                kept[id(each)] = each, parts[0][1]
            else:
                kept[id(each)] = each, digest(each.text, *(text for part in parts for text in part))
        return kept[id(derivation)][1]


def digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
