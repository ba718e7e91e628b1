"""Reads YAML and JSON node by node: problems are noted with their places, and reading continues.

    keys = node.keys("a feature service", ("name", "owner", "features"), required=("name",))
    keys["name"].text("a name"), keys.text("owner")

A node is in a YAML file, with its line and column, or in the JSON that dbt writes for YAML, with the keys that lead to
it inside a definition.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn, TypeVar

from gemel.errors import About, GemelError, Place, did_you_mean

T = TypeVar("T")


class Refused(Exception):
    """This node is invalid. The reason is already among the problems."""


@dataclass(frozen=True, slots=True)
class Notes:
    """The problems so far: errors of one class, with `code` for a node of the wrong type."""

    error: type[GemelError]
    code: str
    problems: list[GemelError]


class Pairs(tuple[tuple[str, "Node", "Node"], ...]):
    """A mapping: each key as a text, with the nodes of the key and of its value."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Node:
    """One part of a document: `content` is a PyYAML node of the file `at`, or JSON `at` the end of a path inside a
    definition.
    """

    content: Any
    at: str | About
    notes: Notes

    @property
    def value(self) -> Any:
        """A text, a number, a boolean, a date or None; the nodes of a list; the `Pairs` of a mapping."""
        match self.content:
            case content if isinstance(self.at, str):
                return _convert(content, self.at, self.notes)
            case dict() as keys:
                pairs = ((str(key), each) for key, each in keys.items())
                return Pairs((key, self._below(key, key), self._below(key, each)) for key, each in pairs)
            case list() as items:
                return [self._below(number, each) for number, each in enumerate(items)]
            case content:
                return content

    def _below(self, key: str | int, content: Any) -> "Node":
        assert isinstance(self.at, About)
        return Node(content, replace(self.at, path=(*self.at.path, key)), self.notes)

    @property
    def place(self) -> Place | None:
        if isinstance(self.at, About):
            return None
        mark = self.content.start_mark
        return Place(self.at, mark.line + 1, mark.column + 1)

    @property
    def about(self) -> About | None:
        return self.at if isinstance(self.at, About) else None

    @property
    def path(self) -> tuple[str | int, ...]:
        """The keys that lead to it inside its definition."""
        return self.at.path if isinstance(self.at, About) else ()

    def keys(
        self,
        what: str,
        allowed: tuple[str, ...] | None = None,
        *,
        required: tuple[str, ...] = (),
        hints: Mapping[str, str] | None = None,
    ) -> "Keys":
        """A mapping by key. Only `allowed` keys are kept; `hints` propose replacements for others.

        Raises Refused if it is not a mapping, or if a required key is missing.
        """
        pairs = self.value
        if not isinstance(pairs, Pairs):
            self.refuse(f"{what} must be a mapping of keys to values, not {self}")
        nodes: dict[str, Node] = {}
        for word, key, node in pairs:
            if allowed is not None and word not in allowed:
                hint = (hints or {}).get(word) or did_you_mean(word, allowed) or f"its keys are {', '.join(allowed)}"
                key.note(f"{what} has no key {word!r}", hint)
                continue
            if word in nodes:
                key.note(f"key {word!r} is written twice")
            nodes[word] = node
        missing = [key for key in required if key not in nodes]
        if missing:
            self.refuse(f"{what} needs {' and '.join(missing)}")
        return Keys(self, nodes)

    def items(self, what: str, *, least: int = 0) -> "list[Node]":
        """The nodes of a list with at least `least` items. For anything else, a problem is noted."""
        nodes = value if isinstance(value := self.value, list) else []
        if nodes is not value or len(nodes) < least:
            self.note(f"{what} must be a list{' with at least one item' if least else f', not {self}'}")
        return nodes

    def text(self, what: str) -> str:
        """The text. For anything else, a problem is noted, and the text is empty."""
        value = self.value
        if not isinstance(value, str) or not value.strip():
            self.note(f"{what} must be a text, not {self}")
            return ""
        return value.strip()

    def texts(self, what: str) -> tuple[str, ...]:
        """The texts of a list, or a single text."""
        nodes = [self] if isinstance(self.value, str) else self.items(what)
        return tuple(node.text(what if node is self else f"an item of {what}") for node in nodes)

    def flag(self, what: str) -> bool | None:
        """True or false. For anything else, a problem is noted, and the flag is None."""
        if isinstance(self.value, bool):
            return self.value
        self.note(f"{what} must be true or false, not {self}")
        return None

    def choice(self, what: str, choices: tuple[str, ...]) -> str:
        text = self.text(what)
        if text and text not in choices:
            self.note(f"{what} cannot be {text!r}", did_you_mean(text, choices) or f"one of {', '.join(choices)}")
        return text

    def note(self, message: str, hint: str | None = None, *, code: str | None = None) -> None:
        """Add a problem, unless it has been added already."""
        error = self.notes.error(code or self.notes.code, message, hint=hint, place=self.place, about=self.about)
        if not any((str(error), error.about) == (str(each), each.about) for each in self.notes.problems):
            self.notes.problems.append(error)

    def refuse(self, message: str, hint: str | None = None, *, code: str | None = None) -> NoReturn:
        self.note(message, hint, code=code)
        raise Refused

    def __str__(self) -> str:
        match self.value:
            case Pairs():
                return "a mapping"
            case list():
                return "a list"
            case None | "":
                return "nothing"
            case str() as text:
                return f"the text {text[:60]!r}"
            case bool() as flag:
                return str(flag).lower()
            case value:
                return str(value)


class Keys(dict[str, Node]):
    """A mapping's nodes by key, and their values: None, or the `default`, for a missing key."""

    def __init__(self, node: Node, nodes: Mapping[str, Node]) -> None:
        super().__init__(nodes)
        self.node = node

    def text(self, key: str) -> str | None:
        return None if self._is_missing(key) else self[key].text(key)

    def texts(self, key: str) -> tuple[str, ...]:
        return self[key].texts(key) if key in self else ()

    def choice(self, key: str, choices: tuple[str, ...]) -> str | None:
        return None if self._is_missing(key) else self[key].choice(key, choices)

    def flag(self, key: str, *, default: bool) -> bool:
        value = self[key].flag(key) if key in self else default
        return default if value is None else value

    def nodes(self, key: str, *, least: int = 0) -> list[Node]:
        return self[key].items(key, least=least) if key in self else []

    def _is_missing(self, key: str) -> bool:
        """Whether a key is missing. In dbt's JSON, missing keys may be null; in a file, a null is the user's."""
        return key not in self or self[key].content is None


def read_each(nodes: Iterable[Node], read: Callable[[Node], T]) -> Iterator[T]:
    """The results of reading the valid nodes."""
    for node in nodes:
        problems = node.notes.problems
        before = len(problems)
        try:
            item = read(node)
        except Refused:
            continue
        if len(problems) == before:
            yield item


def _convert(node: Any, file: str, notes: Notes) -> Any:
    """The value of a PyYAML node; the node itself if its tag is unknown."""
    import yaml

    match node:
        case yaml.MappingNode(value=pairs):
            return Pairs((str(key.value), Node(key, file, notes), Node(value, file, notes)) for key, value in pairs)
        case yaml.SequenceNode(value=items):
            return [Node(item, file, notes) for item in items]
        case yaml.ScalarNode(tag="tag:yaml.org,2002:str", value=text):  # the most frequent case
            return text
    try:
        return yaml.constructor.SafeConstructor().construct_object(node)
    except (yaml.YAMLError, ValueError):
        return node
