"""One YAML file of `feature_views/`, read node by node: what is wrong is noted with its place, and reading goes on."""

import re
from collections.abc import Iterator
from typing import NoReturn

import yaml

from gemel.errors import BridgeError, GemelError, Place, did_you_mean
from gemel.spec.time import Window, parse_window, seconds

DTYPES = ("int32", "int64", "float32", "float64", "string", "bool", "timestamp")
RESERVED = ("event_timestamp", "created_timestamp", "definition", "entity_row_id")
"""Columns that a feature table or Feast's joins make themselves."""

LONGEST = 100 * 366 * 86400
"""Seconds. No engine takes windows of any length, and facts are not older than this."""

UNITS = ("minute", "hour", "day", "week")
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


class Refused(Exception):
    """This item cannot be read further; the reason is already among the problems."""


class Document:
    """One file. Each method takes a node of the YAML and gives a value, or notes what is wrong with it."""

    def __init__(self, file: str, problems: list[GemelError]) -> None:
        self.file = file
        self.problems = problems

    def sections(self, text: str, known: tuple[str, ...]) -> Iterator[tuple[str, yaml.Node]]:
        """The `known` keys of the file that it has, each with its node."""
        try:
            root = _composed(text)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = Place(self.file, mark.line + 1, mark.column + 1) if mark else Place(self.file)
            self.problems.append(BridgeError("G501", f"not YAML: {error.problem or error.context}", place=place))
            return
        except (yaml.YAMLError, RecursionError) as error:
            message = str(error).splitlines()[0]
            self.problems.append(BridgeError("G501", f"not YAML: {message}", place=Place(self.file)))
            return
        if root is None or root.tag == "tag:yaml.org,2002:null":
            return
        try:
            top = self.mapping(root, "the file", ("version", *known))
        except Refused:
            return
        for section in known:
            if section in top:
                yield section, top[section]

    def items(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self.note(node, "G501", f"{what} must be a list with at least one item")
            return []
        return list(node.value)

    def mapping(
        self, node: yaml.Node, what: str, known: tuple[str, ...], required: tuple[str, ...] = ()
    ) -> dict[str, yaml.Node]:
        found = dict(self.pairs(node, what, known))
        missing = [key for key in required if key not in found]
        if missing:
            self.refuse(node, "G501", f"{what} needs {' and '.join(missing)}")
        return found

    def pairs(
        self, node: yaml.Node, what: str, known: tuple[str, ...] | None = None
    ) -> Iterator[tuple[str, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            self.refuse(node, "G501", f"{what} must be a mapping of keys to values, not {_kind(node)}")
        seen = set()
        for key, value in node.value:
            word = key.value if isinstance(key, yaml.ScalarNode) else _kind(key)
            if known is not None and word not in known:
                hint = did_you_mean(word, known) or f"known here: {', '.join(known)}"
                self.note(key, "G501", f"{what} has no key {word!r}", hint)
                continue
            if word in seen:
                self.note(key, "G501", f"key {word!r} is written twice")
            seen.add(word)
            yield word, value

    def name(self, node: yaml.Node, what: str) -> str:
        """A name that dbt, Feast and a Parquet column can all carry."""
        text = self.text(node, "a name")
        if text:
            self.check_name(node, what, text)
        return text

    def check_name(self, node: yaml.Node, what: str, text: str) -> None:
        why = _unusable(text)
        if why:
            self.note(node, "G502", f"{what} cannot be named {text!r}: {why}")

    def made_name(self, node: yaml.Node, text: str) -> str:
        why = _unusable(text)
        if why:
            self.note(node, "G502", f"the feature would be named {text!r}: {why}", "give it another with `name:`")
        return text

    def text(self, node: yaml.Node, what: str) -> str:
        """The text, or an empty one where it is noted as a problem, so that reading goes on."""
        if not isinstance(node, yaml.ScalarNode) or node.tag != "tag:yaml.org,2002:str" or not node.value.strip():
            self.note(node, "G501", f"{what} must be a text, not {_kind(node)}")
            return ""
        return str(node.value).strip()

    def is_boolean(self, node: yaml.Node) -> bool:
        return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:bool"

    def boolean(self, node: yaml.Node, what: str) -> bool:
        if not isinstance(node, yaml.ScalarNode) or not self.is_boolean(node):
            self.note(node, "G501", f"{what} must be true or false, not {_kind(node)}")
            return True
        return bool(yaml.SafeLoader.bool_values[node.value.lower()])

    def choice(self, node: yaml.Node, what: str, known: tuple[str, ...]) -> str:
        text = self.text(node, what)
        if text and text not in known:
            hint = did_you_mean(text, known) or f"one of {', '.join(known)}"
            self.note(node, "G501", f"{what} cannot be {text!r}", hint)
        return text

    def duration(self, node: yaml.Node, what: str) -> Window | None:
        text = self.text(node, what)
        window = parse_window(text)
        if window is None or window.unit not in UNITS or window.count == 0:
            if text:
                self.note(node, "G504", f"{what} {text!r} is not a duration", "write 30 minutes, 2 hours or 3 days")
            return None
        if seconds(window) > LONGEST:
            self.note(
                node, "G504", f"{what} {text!r} is longer than a hundred years", "leave it out, or make it shorter"
            )
        return window

    def tags(self, node: yaml.Node) -> tuple[tuple[str, str], ...]:
        return tuple((key, self.text(value, f"tag {key!r}")) for key, value in self.pairs(node, "tags"))

    def place(self, node: yaml.Node) -> Place:
        return Place(self.file, node.start_mark.line + 1, node.start_mark.column + 1)

    def note(self, node: yaml.Node, code: str, message: str, hint: str | None = None) -> None:
        error = BridgeError(code, message, hint=hint, place=self.place(node))
        if str(error) not in map(str, self.problems):
            self.problems.append(error)

    def refuse(self, node: yaml.Node, code: str, message: str, hint: str | None = None) -> NoReturn:
        self.note(node, code, message, hint)
        raise Refused


def _unusable(name: str) -> str | None:
    """Why dbt or Feast could not carry this name. The traps of Feast 0.67 were measured, see docs/features.md."""
    if name.lower() in RESERVED:
        return "every feature table has a column of that name"
    if name.startswith("__"):
        return "Feast keeps names that start with two underscores for itself"
    if not _NAME.match(name):
        return "a name is lower-case letters, digits and underscores, and starts with a letter"
    if name.endswith("_y"):
        return "Feast's DuckDB store drops columns whose names end in _y"
    return None


def _kind(node: yaml.Node) -> str:
    match node:
        case yaml.MappingNode():
            return "a mapping"
        case yaml.SequenceNode():
            return "a list"
        case yaml.ScalarNode(tag="tag:yaml.org,2002:null") | yaml.ScalarNode(value=""):
            return "nothing"
        case yaml.ScalarNode(value=value, tag=tag):
            return f"{tag.rsplit(':', 1)[-1]} {value}"
        case _:
            return "this"


def _composed(text: str) -> yaml.Node | None:
    """The nodes of a text. libyaml is ten times as fast, where there is one; PyYAML says better what is wrong."""
    try:
        root: yaml.Node | None = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text).get_single_node()
    except yaml.YAMLError:
        root = yaml.SafeLoader(text).get_single_node()
    return root
