"""Finds the file, line and column of a definition in the project's YAML, for the first line of an error.

The files are searched only after an error: those that contain the name are parsed, with PyYAML's positions. dbt's
manifest.json names files too, but it is larger than all of the YAML, may be stale or missing, and has no lines.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gemel.errors import About, DefinitionError, Place

if TYPE_CHECKING:
    from yaml import MappingNode, Node

Trail = tuple[str | int, ...]
"""A path inside a definition, of keys and positions in lists: `("config", "meta", 0)`."""

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
# Keys whose lists only refer to definitions: the inputs of a metric are not definitions.
_MENTIONS = frozenset({"type_params", "query_params", "config", "numerator", "denominator", "input_metrics"})


_FALSE = frozenset({"false", "no", "off", ""})


class Places:
    """The places in one project directory: in the files of `definitions` and in feature views. Files are read once."""

    def __init__(self, project_dir: Path, definitions: Callable[[], Sequence[Path]]) -> None:
        self.project_dir = project_dir
        self._definitions = definitions
        self._texts: dict[Path, str] | None = None
        self._trees: dict[Path, Any] = {}
        self._indexes: dict[Path, dict[tuple[str, str], MappingNode]] = {}

    def of(self, about: About) -> Place | None:
        """The file, line and column of a definition or of an element in it; None if it is not found.

        Never raises: an error about a place must not replace the error that it belongs to.
        """
        try:
            return self._find(about)
        except Exception:
            return None

    def report_duplicates(self) -> list[DefinitionError]:
        """The errors for all duplicates (G125)."""
        return [
            DefinitionError(
                "G125",
                f"{about.kind.replace('_', ' ')} {about.name!r} is defined twice, and dbt silently keeps one of them",
                hint=f"the other is at {first}: rename or remove one",
                place=second,
            )
            for about, first, second in self.find_duplicates()
        ]

    def find_duplicates(self) -> list[tuple[About, Place, Place]]:
        """Definitions of the same name and kind, with both places. In one file, dbt silently keeps the last one."""
        import yaml

        first: dict[About, Place] = {}
        duplicates = []
        for file in self._definitions():
            tree = self._tree(file)
            sections = tree.value if isinstance(tree, yaml.MappingNode) else []
            for key, value in sections:
                kind = _KINDS.get(str(key.value))
                for item in value.value if kind and isinstance(value, yaml.SequenceNode) else []:
                    for name in _names(item):
                        about, place = About(kind or "", name), self._place(file, item)
                        if about in first:
                            duplicates.append((about, first[about], place))
                        first.setdefault(about, place)
        return duplicates

    def find_metrics_with_key(self, key: str) -> dict[str, Place]:
        """The places of the metrics that have a key with a single value."""
        import yaml

        places: dict[str, Place] = {}
        for file, text in self._files().items():
            for section, item in _items(self._tree(file)) if key in text else ():
                own = {each.value for each, value in item.value if isinstance(value, yaml.ScalarNode)}
                if section == "metrics" and key in own:
                    places.update(dict.fromkeys(_names_and_subjects(item), self._place(file, item)))
        return places

    def find_newer_models(self) -> dict[str, Place]:
        """The semantic models in the properties of dbt models (newer YAML), and the places of their keys."""
        import yaml

        places: dict[str, Place] = {}
        for file, text in self._files().items():
            for section, item in _items(self._tree(file)) if "semantic_model:" in text else ():
                keys = {str(key.value): (key, value) for key, value in item.value}
                if section != "models" or "semantic_model" not in keys:
                    continue
                key, value = keys["semantic_model"]
                settings = dict(_scalars(value)) if isinstance(value, yaml.MappingNode) else {"enabled": value.value}
                names = [settings["name"].lower()] if settings.get("name") else _names(item)
                if str(settings.get("enabled", "true")).lower() not in _FALSE:
                    places.update(dict.fromkeys(names, self._place(file, key)))
        return places

    def find_metrics_with(self, path: Trail) -> dict[str, Place]:
        """The places of a path in all metrics that have it."""
        places: dict[str, Place] = {}
        for file, text in self._files().items():
            if all(str(part) in text for part in path):
                for item in (item for section, item in _items(self._tree(file)) if section == "metrics"):
                    node, rest = _along(item, path)
                    if not rest:
                        places.update(dict.fromkeys(_names_and_subjects(item), self._place(file, node)))
        return places

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
                for name in _names_and_subjects(item):
                    index.setdefault((section, name), item)
            self._indexes[file] = index
        return self._indexes[file]

    def _files(self) -> dict[Path, str]:
        """Every YAML file's text in lower case, like names."""
        if self._texts is None:
            files = [*self._definitions(), *yaml_under(self.project_dir / "feature_views")]
            self._texts = {file: read_text(file).lower() for file in files}
        return self._texts

    def _tree(self, file: Path) -> Any:
        import yaml

        if file not in self._trees:
            loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
            try:
                self._trees[file] = yaml.compose(read_text(file), Loader=loader)
            except yaml.YAMLError:
                self._trees[file] = None
        return self._trees[file]

    def _place(self, file: Path, node: "Node") -> Place:
        path = file.relative_to(self.project_dir).as_posix()
        return Place(path, node.start_mark.line + 1, node.start_mark.column + 1)


def yaml_under(folder: Path) -> list[Path]:
    """Every YAML file in a folder and its subfolders."""
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.rglob("*.y*ml") if file.suffix in (".yml", ".yaml") and file.is_file())


def _spellings(about: About) -> Iterator[tuple[str, str]]:
    """The sections and names to search: dbt creates metrics from measures, and newer models are under `models`."""
    yield _SECTIONS.get(about.kind, about.kind), about.name
    if about.kind == "metric":
        yield "measures", about.name
    if about.kind == "semantic_model":
        yield "models", about.name


def _items(node: "Node | None") -> list[tuple[str, "MappingNode"]]:
    """Every definition in a list, with the list's key, outermost first."""
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
    inside = [(section, each) for section, each in _items(item) if name.lower() in _names_and_subjects(each)]
    return next((each for section in _ELEMENTS for key, each in inside if key == section), None)


def _along(node: "Node", path: Trail) -> "tuple[Node, Trail]":
    """The node of the longest existing part of a path (a key or an item of a list), and the rest of the path."""
    import yaml

    last = node
    for number, part in enumerate(path):
        match node, part:
            case yaml.MappingNode(value=pairs), str() if pair := next((p for p in pairs if p[0].value == part), None):
                last, node = pair
            case yaml.SequenceNode(value=items), int() if part < len(items):
                last = node = items[part]
            case _:
                return last, path[number:]
    return last, ()


def _names(item: "Node") -> list[str]:
    """The item's `name` as dbt reads it; empty without one."""
    import yaml

    pairs = item.value if isinstance(item, yaml.MappingNode) else []
    return [str(value.value).lower() for key, value in pairs if key.value == "name"]


def _scalars(item: "MappingNode") -> Iterator[tuple[str, str]]:
    import yaml

    return ((str(key.value), str(value.value)) for key, value in item.value if isinstance(value, yaml.ScalarNode))


def _names_and_subjects(item: "MappingNode") -> set[str]:
    """The names of an item, from `name:`, or from `metric:` or `dimension:` for a feature."""
    import yaml

    return {
        str(value.value).lower()
        for key, value in item.value
        if key.value in ("name", "metric", "dimension") and isinstance(value, yaml.ScalarNode)
    }


def read_text(file: Path) -> str:
    """The text of a file; empty if it cannot be read (it was removed, or permission is denied)."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
