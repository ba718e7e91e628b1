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


Part = tuple["Why | None", "Derivation | str"]
"""A node's id, or a derivation in turn, with how it bears on the whole; with None it belongs to what the whole means,
and is no edge."""


@dataclass(frozen=True, slots=True, eq=False)
class Derivation:
    """`amount - discount` of orders: the text of a difference, over the columns `column:orders.amount` and the other.

    Without a text and with a single part a derivation is that part. Parts that are not `ordered` mean the same in any
    order. One with a `name` is a definition of its own: what is made of it says that name, and means what it means.
    `fields` are those of a struct that is built here. `uses` are the ids below, each with how it bears.
    """

    text: str
    parts: tuple[Part, ...] = ()
    ordered: bool = True
    name: str | None = None
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
            inner = [p for p in inner if not self.replaces(p)]
            if inner:
                waiting += inner
                continue
            waiting.pop()
            if id(each) not in kept:
                kept[id(each)] = each, self._digest(each)
        return kept[id(derivation)][1]

    def replaces(self, derivation: Derivation) -> bool:
        """Whether something stands in place of a part."""
        return False

    def _digest(self, derivation: Derivation) -> str:
        parts = []
        for why, part in derivation.parts:
            if isinstance(part, str):
                parts.append((why or "", self._of(part)))
            elif self.replaces(part):
                parts.append((why or "", str(part.name)))
            else:
                parts.append((why or "", self._kept[id(part)][1]))
        if not derivation.text and len(parts) == 1:
            return parts[0][1]
        if not derivation.ordered:
            parts.sort()
        return digest(derivation.text, *(text for part in parts for text in part))


class OwnDigests(Digests):
    """What derivations say themselves: nodes and definitions stand by their names."""

    def __init__(self) -> None:
        super().__init__(str)

    def replaces(self, derivation: Derivation) -> bool:
        return derivation.name is not None


def digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
