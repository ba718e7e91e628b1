"""Where a definition stands in the project's YAML, for the first half of an error's first line.

The files are searched when something went wrong, and only then: those that hold the name are parsed, with the
positions that PyYAML keeps. dbt's manifest.json would tell the file too, but is larger than all of the YAML,
may be stale or missing, and has no lines.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gemel.errors import About, DefinitionError, Place

if TYPE_CHECKING:
    from yaml import MappingNode, Node

Trail = tuple[str | int, ...]
"""Where inside a definition something stands: `("config", "meta", 0)`, keys and places in lists."""

_SECTIONS = {
    "metric": "metrics",
    "semantic_model": "semantic_models",
    "saved_query": "saved_queries",
    "time_spine": "models",
    "feature_view": "feature_views",
    "feature_service": "feature_services",
}
_KINDS = {_SECTIONS[kind]: kind for kind in ("metric", "semantic_model", "saved_query")}
_ELEMENTS = ("measures", "dimensions", "entities", "columns", "exports", "features")
# Lists inside a definition that only mention others: a metric's own inputs are no definitions.
_MENTIONS = frozenset({"type_params", "query_params", "config", "numerator", "denominator", "input_metrics"})


class Places:
    """The places in one project directory: in the files of `definitions`, and in feature views. Files are read once."""

    def __init__(self, project_dir: Path, definitions: Callable[[], Sequence[Path]]) -> None:
        self.project_dir = project_dir
        self._definitions = definitions
        self._texts: dict[Path, str] | None = None
        self._trees: dict[Path, Any] = {}
        self._indexes: dict[Path, dict[tuple[str, str], MappingNode]] = {}

    def of(self, about: About) -> Place | None:
        """The file, line and column of a definition or of an element in it; None where it is not found.

        Never raises: an error must not be replaced by another one about its place.
        """
        try:
            return self._find(about)
        except Exception:
            return None

    def report_duplicates(self) -> list[DefinitionError]:
        """What is to be said of `find_duplicates` (G125)."""
        return [
            DefinitionError(
                "G125",
                f"two definitions of {about.kind.replace('_', ' ')} {about.name!r}; dbt keeps one, unsaid",
                hint=f"the other is at {first}: rename or remove one",
                place=second,
            )
            for about, first, second in self.find_duplicates()
        ]

    def find_duplicates(self) -> list[tuple[About, Place, Place]]:
        """Definitions of one name and kind, with both places. In one file dbt keeps the last, and does not say so."""
        import yaml

        first: dict[About, Place] = {}
        found = []
        for file in self._definitions():
            tree = self._tree(file)
            sections = tree.value if isinstance(tree, yaml.MappingNode) else []
            for key, value in sections:
                kind = _KINDS.get(str(key.value))
                for item in value.value if kind and isinstance(value, yaml.SequenceNode) else []:
                    for name in _names(item):
                        about, place = About(kind or "", name), self._place(file, item)
                        if about in first:
                            found.append((about, first[about], place))
                        first.setdefault(about, place)
        return found

    def find_metrics_with_key(self, key: str) -> dict[str, Place]:
        """The metrics whose YAML has a key of its own, in files that hold the word at all."""
        import yaml

        found: dict[str, Place] = {}
        for file, text in self._files().items():
            for section, item in _items(self._tree(file)) if key in text else ():
                own = {each.value for each, value in item.value if isinstance(value, yaml.ScalarNode)}
                if section == "metrics" and key in own:
                    found.update(dict.fromkeys(_called(item), self._place(file, item)))
        return found

    def find_metrics_with(self, path: Trail) -> dict[str, Place]:
        """The metrics whose YAML has something at a path, in files that hold all of its words."""
        found: dict[str, Place] = {}
        for file, text in self._files().items():
            if all(str(part) in text for part in path):
                for item in (item for section, item in _items(self._tree(file)) if section == "metrics"):
                    node, rest = _along(item, path)
                    if not rest:
                        found.update(dict.fromkeys(_called(item), self._place(file, node)))
        return found

    def _find(self, about: About) -> Place | None:
        for kind, name in _spellings(about):
            for file, text in self._files().items():
                if name.lower() not in text:
                    continue
                item = self._index(file).get((kind, name.lower()))
                if item is not None:
                    element = _element(item, about.element) if about.element else None
                    return self._place(file, _along(element or item, about.path)[0])
        return None

    def _index(self, file: Path) -> dict[tuple[str, str], "MappingNode"]:
        """The outermost definition of each name in each kind of list."""
        if file not in self._indexes:
            index: dict[tuple[str, str], MappingNode] = {}
            for section, item in _items(self._tree(file)):
                for name in _called(item):
                    index.setdefault((section, name), item)
            self._indexes[file] = index
        return self._indexes[file]

    def _files(self) -> dict[Path, str]:
        """Every YAML file's text in lower case, as names are."""
        if self._texts is None:
            self._texts = {}
            for file in [*self._definitions(), *yaml_under(self.project_dir / "feature_views")]:
                self._texts[file] = text_of(file).lower()
        return self._texts

    def _tree(self, file: Path) -> Any:
        import yaml

        if file not in self._trees:
            loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
            try:
                self._trees[file] = yaml.compose(text_of(file), Loader=loader)
            except yaml.YAMLError:
                self._trees[file] = None
        return self._trees[file]

    def _place(self, file: Path, node: "Node") -> Place:
        shown = file.relative_to(self.project_dir).as_posix()
        return Place(shown, node.start_mark.line + 1, node.start_mark.column + 1)


def yaml_under(folder: Path) -> list[Path]:
    """Every YAML file in a folder, and in those below it."""
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.rglob("*.y*ml") if file.suffix in (".yml", ".yaml") and file.is_file())


def _spellings(about: About) -> Iterator[tuple[str, str]]:
    """A metric that dbt made of a measure stands where the measure does; a new-spec model under `models`."""
    yield _SECTIONS.get(about.kind, about.kind), about.name
    if about.kind == "metric":
        yield "measures", about.name
    if about.kind == "semantic_model":
        yield "models", about.name


def _items(node: "Node | None") -> list[tuple[str, "MappingNode"]]:
    """Every definition in a list, with the key that the list stands under, outermost first."""
    import yaml

    items: list[tuple[str, MappingNode]] = []
    level = [node] if node is not None else []
    while level:
        below: list[Node] = []
        for each in level:
            if isinstance(each, yaml.SequenceNode):
                below.extend(each.value)
            elif isinstance(each, yaml.MappingNode):
                for key, value in each.value:
                    if isinstance(value, yaml.SequenceNode):
                        items += ((key.value, item) for item in value.value if isinstance(item, yaml.MappingNode))
                    if key.value not in _MENTIONS:
                        below.append(value)
        level = below
    return items


def _element(item: "MappingNode", name: str) -> "Node | None":
    inside = [(section, each) for section, each in _items(item) if name.lower() in _called(each)]
    return next((each for section in _ELEMENTS for key, each in inside if key == section), None)


def _along(node: "Node", path: Trail) -> "tuple[Node, Trail]":
    """As far as a path leads: the key or the item of a list that is its last part, and the rest that leads nowhere."""
    import yaml

    found = node
    for number, part in enumerate(path):
        match node, part:
            case yaml.MappingNode(value=pairs), str() if pair := next((p for p in pairs if p[0].value == part), None):
                found, node = pair
            case yaml.SequenceNode(value=items), int() if part < len(items):
                found = node = items[part]
            case _:
                return found, path[number:]
    return found, ()


def _names(item: "Node") -> list[str]:
    """The name that an item gives itself, as dbt takes it; none where it gives none."""
    import yaml

    pairs = item.value if isinstance(item, yaml.MappingNode) else []
    return [str(value.value).lower() for key, value in pairs if key.value == "name"]


def _called(item: "MappingNode") -> set[str]:
    """What an item is called: `name: <name>`; features say `metric:` or `dimension:` instead."""
    import yaml

    return {
        str(value.value).lower()
        for key, value in item.value
        if key.value in ("name", "metric", "dimension") and isinstance(value, yaml.ScalarNode)
    }


def text_of(file: Path) -> str:
    """Nothing where it cannot be read: it was taken away, or belongs to somebody else."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
