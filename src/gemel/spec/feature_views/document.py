"""Reads one YAML file of `feature_views/` into nodes, and the parts that all sections share: names, durations, tags."""

import re
from collections.abc import Iterator

import yaml

from gemel.errors import BridgeError, GemelError, Place
from gemel.spec.nodes import Keys, Node, Notes, Refused
from gemel.spec.time import Window, parse_window, seconds

DTYPES = ("int32", "int64", "float32", "float64", "string", "bool", "timestamp")
RESERVED = ("event_timestamp", "created_timestamp", "definition", "entity_row_id")
"""Columns that feature tables or Feast's joins add."""

LONGEST = 100 * 366 * 86400
"""The longest window in seconds: every engine limits the length of windows, and no facts are older than this."""

UNITS = ("minute", "hour", "day", "week")
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


def read_sections(
    file: str, text: str, names: tuple[str, ...], problems: list[GemelError]
) -> Iterator[tuple[str, Node]]:
    """The sections of a file with these names, each with its node. Errors are added to `problems`."""
    try:
        root = _compose(text)
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
        top = Node(root, file, Notes(BridgeError, "G501", problems)).keys("the file", ("version", *names))
    except Refused:
        return
    yield from ((section, top[section]) for section in names if section in top)


def read_name(node: Node, kind: str) -> str:
    """A name that is valid in dbt, Feast and Parquet."""
    text = node.text("a name")
    if text:
        check_name(node, kind, text)
    return text


def check_name(node: Node, kind: str, text: str) -> None:
    if reason := _explain_invalid(text):
        node.note(f"{kind} cannot be named {text!r}: {reason}", code="G502")


def check_default_name(node: Node, text: str) -> str:
    """The default name of a feature, after checking that it is valid."""
    if reason := _explain_invalid(text):
        node.note(f"the feature would be named {text!r}: {reason}", "give it another name with `name:`", code="G502")
    return text


def read_duration(keys: Keys, key: str) -> Window | None:
    """A duration; None if the key is missing. For an invalid value, a problem is noted."""
    text = keys.text(key)
    if not text:
        return None
    window = parse_window(text)
    if window is None or window.unit not in UNITS or window.count == 0:
        keys[key].note(f"{key} {text!r} is not a duration", "write 30 minutes, 2 hours or 3 days", code="G504")
        return None
    if seconds(window) > LONGEST:
        message = f"{key} {text!r} is longer than a hundred years"
        keys[key].note(message, "omit it, or make it shorter", code="G504")
    return window


def read_tags(keys: Keys) -> tuple[tuple[str, str], ...]:
    if "tags" not in keys:
        return ()
    written = keys["tags"].keys("tags")
    return tuple((key, node.text(f"tag {key!r}")) for key, node in written.items())


def _explain_invalid(name: str) -> str | None:
    """Why dbt or Feast cannot use this name. The limits of Feast 0.67 were measured, see docs/features.md."""
    if name.lower() in RESERVED:
        return "every feature table has a column of that name"
    if name.startswith("__"):
        return "Feast reserves names that start with two underscores"
    if not _NAME.match(name):
        return "a name must consist of lower-case letters, digits and underscores, and start with a letter"
    if name.endswith("_y"):
        return "Feast's DuckDB store drops columns whose names end in _y"
    return None


def _compose(text: str) -> yaml.Node | None:
    """The nodes of a YAML text. libyaml is ten times as fast, if it is installed; PyYAML has better error messages."""
    try:
        root: yaml.Node | None = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text).get_single_node()
    except yaml.YAMLError:
        root = yaml.SafeLoader(text).get_single_node()
    return root
