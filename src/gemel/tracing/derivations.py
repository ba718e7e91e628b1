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


@dataclass(slots=True, eq=False)  # not frozen, which takes thrice as long to make: there are tens of thousands
class Derivation:
    """`amount - discount` of orders: the text of a difference, over the columns `column:orders.amount` and the other.

    Without a text and with a single part a derivation is that part. Parts that are not `ordered` mean the same in any
    order. One with a `name` is a definition of its own: what is made of it says that name, and means what it means.
    `fields` are those of a struct that is built here. `uses` are the ids below, each with how it bears. `exact` gives
    the same with its text and the order of its parts, where both take work that the uses do not.
    """

    text: str
    parts: tuple[Part, ...] = ()
    ordered: bool = True
    name: str | None = None
    fields: "Mapping[str, Derivation]" = field(default_factory=dict)
    exact: "Callable[[], Derivation] | None" = None
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
        self.uses = uses


def of_node(id: str, why: Why = "identity") -> Derivation:
    """A node as it is."""
    return Derivation("", ((why, id),))


class Digests:
    """Derivations to digests, in which each node stands as `of` says: by its id, or by what it means.

    With `by_name`, a definition of its own stands for its name, and what it is made of is no matter.
    """

    def __init__(self, of: Callable[[str], str], *, by_name: bool = False) -> None:
        self._of = of
        self._by_name = by_name
        self._kept: dict[int, tuple[Derivation, str]] = {}

    def __call__(self, derivation: Derivation) -> str:
        kept, of, by_name, waiting = self._kept, self._of, self._by_name, [derivation]
        exacts: dict[int, Derivation] = {}
        while waiting:  # not by calls: CTEs stand on each other hundreds deep
            each = waiting[-1]
            if id(each) in kept:
                waiting.pop()
                continue
            if each.exact is not None:
                exact = exacts.get(id(each)) or exacts.setdefault(id(each), each.exact())
                if id(exact) not in kept:
                    waiting.append(exact)
                    continue
                kept[id(waiting.pop())] = each, kept[id(exact)][1]
                continue
            inner = [part for _, part in each.parts if not isinstance(part, str) and id(part) not in kept]
            below = [part for part in inner if not (by_name and part.name)]
            if below:
                waiting += below
                continue
            parts: list[tuple[str, str]] = []
            for why, part in each.parts:
                if isinstance(part, str):
                    parts.append((why or "", of(part)))
                else:
                    parts.append((why or "", part.name if by_name and part.name else kept[id(part)][1]))
            waiting.pop()
            if not each.text and len(parts) == 1:
                kept[id(each)] = each, parts[0][1]
                continue
            texts = [f"{why} {text}" for why, text in parts]
            content = "\0".join([each.text, *(texts if each.ordered else sorted(texts))])
            kept[id(each)] = each, hashlib.sha256(content.encode()).hexdigest()[:16]
        return kept[id(derivation)][1]
