"""The derivation of a value or of a set of rows: a text with places, and the inputs at these places."""

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
"""OpenLineage's words for how an input affects a column, and three more: a table has rows at all (`rows`), a whole has
a part (`part`), all of a table can affect the column, because the SQL could not be resolved (`table`)."""

DIRECT: frozenset[Why] = frozenset({"identity", "transformation", "aggregation", "part", "table"})
"""A value is computed from these inputs; the others decide which values are used, and in what order."""

_ON_ROWS: frozenset[Why] = frozenset({"join", "filter", "group_by", "sort"})
_STRENGTH: Mapping[Why, int] = {"transformation": 1, "aggregation": 2}


def compose(inner: Why, outer: Why) -> Why:
    """How an input of an input affects the whole. An input that decides rows does so with all of its own inputs."""
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
"""An input, a node's id or a derivation, with how it affects the whole. With None it belongs to the meaning of the
whole, but is not an edge of the lineage."""


@dataclass(slots=True, eq=False)  # not frozen: that takes three times as long, and there are tens of thousands
class Derivation:
    """`amount - discount` of orders: the text of a difference, over `column:orders.amount` and the other column.

    A derivation without a text and with a single part is that part. Parts that are not `ordered` mean the same in any
    order. A derivation with a `name` is a definition of its own, and others refer to it by that name. `fields` are the
    fields of a struct that is built here. `uses` are the ids below, each with how it affects the value. `exact`
    computes the text and the order of the parts, if these take work that the uses do not need.
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
    """A node itself."""
    return Derivation("", ((why, id),))


class Digests:
    """Derivations to digests. `of` gives the text of a node in a digest: its id, or a digest of its meaning.

    With `by_name`, a derivation with a name counts as its name, whatever it derives from.
    """

    def __init__(self, of: Callable[[str], str], *, by_name: bool = False) -> None:
        self._of = of
        self._by_name = by_name
        self._kept: dict[int, tuple[Derivation, str]] = {}

    def __call__(self, derivation: Derivation) -> str:
        kept, of, by_name, waiting = self._kept, self._of, self._by_name, [derivation]
        exacts: dict[int, Derivation] = {}
        while waiting:  # not recursive: CTEs can be nested hundreds deep
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
