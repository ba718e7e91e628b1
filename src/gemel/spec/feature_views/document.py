"""One YAML file of `feature_views/` as nodes, and what the parts of all its sections share: names, durations, tags."""

import re
from collections.abc import Iterator

import yaml

from gemel.errors import BridgeError, GemelError, Place
from gemel.spec.nodes import Keys, Node, Notes, Refused
from gemel.spec.time import Window, parse_window, seconds

DTYPES = ("int32", "int64", "float32", "float64", "string", "bool", "timestamp")
RESERVED = ("event_timestamp", "created_timestamp", "definition", "entity_row_id")
"""Columns that a feature table or Feast's joins make themselves."""

LONGEST = 100 * 366 * 86400
"""Seconds. No engine takes windows of any length, and facts are not older than this."""

UNITS = ("minute", "hour", "day", "week")
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


def read_sections(
    file: str, text: str, known: tuple[str, ...], problems: list[GemelError]
) -> Iterator[tuple[str, Node]]:
    """The `known` keys of the file that it has, each with its node. What is wrong goes to `problems`."""
    try:
        root = _composed(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
        problems.append(BridgeError("G501", f"not YAML: {error.problem or error.context}", place=place))
        return
    except (yaml.YAMLError, RecursionError) as error:
        message = str(error).splitlines()[0]
        problems.append(BridgeError("G501", f"not YAML: {message}", place=Place(file)))
        return
    if root is None or root.tag == "tag:yaml.org,2002:null":
        return
    try:
        top = Node(root, Place(file, 1, 1), Notes(BridgeError, "G501", problems)).keys("the file", ("version", *known))
    except Refused:
        return
    yield from ((section, top[section]) for section in known if section in top)


def read_name(node: Node, what: str) -> str:
    """A name that dbt, Feast and a Parquet column can all carry."""
    text = node.text("a name")
    if text:
        check_name(node, what, text)
    return text


def check_name(node: Node, what: str, text: str) -> None:
    if why := _unusable(text):
        node.note(f"{what} cannot be named {text!r}: {why}", code="G502")


def check_default_name(node: Node, text: str) -> str:
    """The name that a feature has where its view gives it none."""
    if why := _unusable(text):
        node.note(f"the feature would be named {text!r}: {why}", "give it another with `name:`", code="G502")
    return text


def read_duration(keys: Keys, key: str) -> Window | None:
    """None where it is not written, or none that can be, which is noted."""
    text = keys.text(key)
    if not text:
        return None
    window = parse_window(text)
    if window is None or window.unit not in UNITS or window.count == 0:
        keys[key].note(f"{key} {text!r} is not a duration", "write 30 minutes, 2 hours or 3 days", code="G504")
        return None
    if seconds(window) > LONGEST:
        told = f"{key} {text!r} is longer than a hundred years"
        keys[key].note(told, "leave it out, or make it shorter", code="G504")
    return window


def read_tags(keys: Keys) -> tuple[tuple[str, str], ...]:
    if "tags" not in keys:
        return ()
    written = keys["tags"].keys("tags")
    return tuple((key, node.text(f"tag {key!r}")) for key, node in written.nodes.items())


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


def _composed(text: str) -> yaml.Node | None:
    """The nodes of a text. libyaml is ten times as fast, where there is one; PyYAML says better what is wrong."""
    try:
        root: yaml.Node | None = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text).get_single_node()
    except yaml.YAMLError:
        root = yaml.SafeLoader(text).get_single_node()
    return root
