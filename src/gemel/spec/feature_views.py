"""`feature_views/*.yml` to frozen values: which metrics and dimensions become features, and for which services.

Only what the files say by themselves is checked here (shape, names, windows, references between the files);
whether a metric exists and can be computed for an entity is the bridge's to say. `feature_views.schema.json`
beside this module says the same to editors; a test holds the two equal.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NoReturn

import yaml

from gemel.errors import BridgeError, GemelError, Place, Problems, ProjectError, did_you_mean
from gemel.spec.time import Window, parse_window, seconds, windowed_name

SCHEMA = Path(__file__).with_suffix(".schema.json")
SCHEDULES = ("minute", "hour", "day", "week")
DTYPES = ("int32", "int64", "float32", "float64", "string", "bool", "timestamp")
RESERVED = ("event_timestamp", "created_timestamp", "definition", "entity_row_id")
"""Columns that a feature table or Feast's joins make themselves."""

_UNITS = ("minute", "hour", "day", "week")


@dataclass(frozen=True, slots=True)
class MetricFeature:
    """A metric over one trailing window; no window is all time, or the metric's `own`."""

    name: str
    metric: str
    window: Window | None
    dtype: str | None = None
    description: str | None = None
    own: bool = False
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class DimensionFeature:
    """A dimension of the entity, as of the moment, or (`current`) whatever it is now."""

    name: str
    dimension: str
    current: bool = False
    dtype: str | None = None
    description: str | None = None
    place: Place | None = field(default=None, compare=False)


Feature = MetricFeature | DimensionFeature


@dataclass(frozen=True, slots=True)
class FeatureView:
    """One feature table: features of the entities at every moment of the schedule (see docs/features.md)."""

    name: str
    entities: tuple[str, ...]
    schedule: str
    features: tuple[Feature, ...]
    known_at: str | None = None
    delay: Window | None = None
    ttl: Window | None = None
    lookback: Window | None = None
    online: bool = True
    description: str | None = None
    owner: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ServiceFeature:
    """`view` (all its features) or `view.feature`."""

    view: str
    feature: str | None = None
    place: Place | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return self.view if self.feature is None else f"{self.view}.{self.feature}"


@dataclass(frozen=True, slots=True)
class FeatureService:
    """What one model takes. The owner is a person to ask; dbt wants one for every exposure."""

    name: str
    features: tuple[ServiceFeature, ...]
    owner: str
    description: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    views: tuple[FeatureView, ...] = ()
    services: tuple[FeatureService, ...] = ()


def read_feature_views(folder: Path, *, root: Path | None = None) -> FeatureSpec:
    """Every `*.yml` of `folder` as one FeatureSpec. Raises Problems with all that is wrong in all files.

    Places are given relative to `root`. A folder that is not there holds nothing.
    """
    paths = sorted(p for p in folder.glob("*.y*ml") if p.suffix in (".yml", ".yaml"))
    files, unreadable = [], []
    for path in paths:
        if path.name != "feature_store.yaml":  # Feast's own
            name = path.relative_to(root).as_posix() if root and path.is_relative_to(root) else str(path)
            try:
                files.append((name, path.read_text(encoding="utf-8", errors="replace")))
            except OSError as error:
                hint = "make it a file that can be read, or take it away"
                unreadable.append(ProjectError("G607", f"cannot read {name}: {error.strerror}", hint=hint))
    if unreadable:
        raise Problems(unreadable)
    return parse_feature_views(files)


def parse_feature_views(files: Iterable[tuple[str, str]]) -> FeatureSpec:
    """(file name, text) pairs to one FeatureSpec. Raises Problems."""
    views: list[FeatureView] = []
    services: list[FeatureService] = []
    problems: list[GemelError] = []
    for name, text in files:
        reader = _Reader(name, problems)
        for section, node in reader.sections(text):
            if section == "feature_views":
                views.extend(reader.views(node))
            else:
                services.extend(reader.services(node))
    problems.extend(_duplicates("feature view", views))
    problems.extend(_duplicates("feature service", services))
    problems.extend(_unknown_references(views, services, complete=not problems))
    if problems:
        raise Problems(sorted(problems, key=_by_place))
    return FeatureSpec(tuple(views), tuple(services))


_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_REFERENCE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?\Z")
_VIEW_KEYS = (
    *("name", "description", "entity", "schedule", "known_at", "delay", "ttl", "lookback", "online", "as_of"),
    *("features", "owner", "tags"),
)
_METRIC_KEYS = ("metric", "windows", "name", "dtype", "description")
_DIMENSION_KEYS = ("dimension", "as_of", "name", "dtype", "description")
_SERVICE_KEYS = ("name", "description", "features", "owner", "tags")


class _Refused(Exception):
    """This item cannot be read further; the reason is already among the problems."""


class _Reader:
    """One file. Each method takes a node of the YAML and gives a value, or notes what is wrong with it."""

    def __init__(self, file: str, problems: list[GemelError]) -> None:
        self.file = file
        self.problems = problems

    def sections(self, text: str) -> Iterator[tuple[str, yaml.Node]]:
        try:
            loader = yaml.SafeLoader(text)
            root = loader.get_single_node()
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
            top = self.mapping(root, "the file", ("version", "feature_views", "feature_services"))
        except _Refused:
            return
        for section in ("feature_views", "feature_services"):
            if section in top:
                yield section, top[section]

    def views(self, node: yaml.Node) -> Iterator[FeatureView]:
        for item in self._items(node, "feature_views"):
            try:
                yield self.view(item)
            except _Refused:
                continue

    def services(self, node: yaml.Node) -> Iterator[FeatureService]:
        for item in self._items(node, "feature_services"):
            try:
                yield self.service(item)
            except _Refused:
                continue

    def view(self, node: yaml.Node) -> FeatureView:
        before = len(self.problems)
        keys = self.mapping(node, "a feature view", _VIEW_KEYS, ("name", "entity", "schedule", "features"))
        name = self.name(keys["name"], "a feature view")
        entities = self.entities(keys["entity"])
        schedule = self.choice(keys["schedule"], "schedule", SCHEDULES)
        current = "as_of" in keys and self.choice(keys["as_of"], "as_of", ("current",)) == "current"
        delay = self.duration(keys["delay"], "delay") if "delay" in keys else None
        ttl = self.duration(keys["ttl"], "ttl") if "ttl" in keys else None
        if ttl and schedule in SCHEDULES and seconds(ttl) < seconds(Window(1, schedule)):
            self.note(
                keys["ttl"],
                "G504",
                f"a ttl of {ttl} is shorter than one {schedule}, so values would expire before the next row",
            )
        view = FeatureView(
            name=name,
            entities=entities,
            schedule=schedule,
            features=tuple(self.features(keys["features"], entities, schedule, current)),
            known_at=self.text(keys["known_at"], "known_at").lower() if "known_at" in keys else None,
            delay=delay,
            ttl=ttl,
            lookback=self.duration(keys["lookback"], "lookback") if "lookback" in keys else None,
            online=self.boolean(keys["online"], "online") if "online" in keys else True,
            description=self.text(keys["description"], "description") if "description" in keys else None,
            owner=self.text(keys["owner"], "owner") if "owner" in keys else None,
            tags=self.tags(keys["tags"]) if "tags" in keys else (),
            place=self.place(keys["name"]),
        )
        if len(self.problems) > before:
            raise _Refused
        return view

    def entities(self, node: yaml.Node) -> tuple[str, ...]:
        if isinstance(node, yaml.SequenceNode):
            names = [self.name(item, "an entity") for item in self._items(node, "entity")]
        else:
            names = [self.name(node, "an entity")]
        for index, name in enumerate(names):
            if name and name in names[:index]:
                self.note(node, "G503", f"entity {name!r} is listed twice")
        return tuple(names)

    def features(self, node: yaml.Node, entities: tuple[str, ...], schedule: str, current: bool) -> Iterator[Feature]:
        seen: set[str] = set()
        for item in self._items(node, "features"):
            try:
                found = list(self.feature(item, schedule, current))
            except _Refused:
                continue
            for feature in found:
                if not feature.name:
                    continue
                if feature.name in entities:
                    self.note(
                        item,
                        "G502",
                        f"feature {feature.name!r} has the name of the view's entity",
                        "give it another with `name:`",
                    )
                elif feature.name in seen:
                    self.note(
                        item,
                        "G503",
                        f"two features are named {feature.name!r}",
                        "give one another with `name:`",
                    )
                seen.add(feature.name)
                yield feature

    def feature(self, node: yaml.Node, schedule: str, current: bool) -> Iterator[Feature]:
        keys = self.mapping(node, "a feature", tuple(dict.fromkeys(_METRIC_KEYS + _DIMENSION_KEYS)))
        if ("metric" in keys) == ("dimension" in keys):
            self.refuse(node, "G501", "a feature is either a `metric:` or a `dimension:`")
        kind: Literal["metric", "dimension"] = "metric" if "metric" in keys else "dimension"
        known, required = (_METRIC_KEYS, ("metric",)) if kind == "metric" else (_DIMENSION_KEYS, ())
        keys = self.mapping(node, f"a {kind} feature", known, required)
        name = self.name(keys["name"], "a feature") if "name" in keys else None
        dtype = self.choice(keys["dtype"], "dtype", DTYPES) if "dtype" in keys else None
        description = self.text(keys["description"], "description") if "description" in keys else None
        place = self.place(keys[kind])
        subject = self.text(keys[kind], kind).lower()
        if kind == "dimension":
            current = ("as_of" in keys and self.choice(keys["as_of"], "as_of", ("current",)) == "current") or current
            name = name or (self.made_name(keys[kind], subject.split("__")[-1]) if subject else "")
            yield DimensionFeature(name, subject, current, dtype, description, place)
            return
        if "windows" not in keys:
            made = name or (self.made_name(keys[kind], subject) if subject else "")
            yield MetricFeature(made, subject, None, dtype, description, own=True, place=place)
            return
        windows = list(self.windows(keys["windows"], schedule))
        if name and len(windows) > 1:
            self.note(
                keys["name"],
                "G502",
                f"one name, {name!r}, for {len(windows)} windows",
                "leave the name out, or write one feature for each window",
            )
            windows = windows[:1]
        for window in windows:
            made = name or (self.made_name(keys[kind], windowed_name(subject, window)) if subject else "")
            yield MetricFeature(made, subject, window, dtype, description, place=place)

    def windows(self, node: yaml.Node, schedule: str) -> Iterator[Window | None]:
        seen: list[Window | None] = []
        for item in self._items(node, "windows"):
            try:
                window = self.window(item, schedule)
            except _Refused:
                continue
            if window in seen:
                self.note(item, "G503", f"the window {window or 'all time'} is listed twice")
            seen.append(window)
            yield window

    def window(self, node: yaml.Node, schedule: str) -> Window | None:
        text = self.text(node, "a window")
        if not text:
            raise _Refused
        if text.lower() in ("all", "all time"):
            return None
        window = parse_window(text)
        if window is not None and window.unit in ("month", "quarter", "year"):
            self.refuse(node, "G504", f"a window of {text} is not always equally long", "count it in days")
        if window is None or window.unit not in _UNITS or window.count == 0:
            self.refuse(node, "G504", f"{text!r} is not a window", "write 7 days, 2 hours or all time")
        if schedule in SCHEDULES and seconds(window) % seconds(Window(1, schedule)):
            self.refuse(
                node,
                "G504",
                f"a window of {text} is not a whole number of the schedule's {schedule}s",
                f"make the window a multiple of one {schedule}, or the schedule finer",
            )
        return window

    def duration(self, node: yaml.Node, what: str) -> Window | None:
        text = self.text(node, what)
        window = parse_window(text)
        if window is None or window.unit not in _UNITS or window.count == 0:
            if text:
                self.note(node, "G504", f"{what} {text!r} is not a duration", "write 30 minutes, 2 hours or 3 days")
            return None
        return window

    def service(self, node: yaml.Node) -> FeatureService:
        before = len(self.problems)
        keys = self.mapping(node, "a feature service", _SERVICE_KEYS, ("name", "features", "owner"))
        references: list[ServiceFeature] = []
        for item in self._items(keys["features"], "features"):
            text = self.text(item, "a feature of a service")
            if not text:
                continue
            if not _REFERENCE.match(text):
                self.note(item, "G505", f"cannot read {text!r}", "write a view's name, or view.feature")
                continue
            view, _, feature = text.partition(".")
            if any(r.view == view and r.feature in (None, feature or None) for r in references):
                self.note(item, "G503", f"{text!r} is in the service already")
            references.append(ServiceFeature(view, feature or None, self.place(item)))
        service = FeatureService(
            name=self.name(keys["name"], "a feature service"),
            features=tuple(references),
            owner=self.text(keys["owner"], "owner"),
            description=self.text(keys["description"], "description") if "description" in keys else None,
            tags=self.tags(keys["tags"]) if "tags" in keys else (),
            place=self.place(keys["name"]),
        )
        if len(self.problems) > before:
            raise _Refused
        return service

    def tags(self, node: yaml.Node) -> tuple[tuple[str, str], ...]:
        return tuple((key, self.text(value, f"tag {key!r}")) for key, value in self.pairs(node, "tags"))

    def name(self, node: yaml.Node, what: str) -> str:
        """A name that dbt, Feast and a Parquet column can all carry."""
        text = self.text(node, "a name")
        why = _unusable(text) if text else None
        if why:
            self.note(node, "G502", f"{what} cannot be named {text!r}: {why}")
        return text

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

    def boolean(self, node: yaml.Node, what: str) -> bool:
        if not isinstance(node, yaml.ScalarNode) or node.tag != "tag:yaml.org,2002:bool":
            self.note(node, "G501", f"{what} must be true or false, not {_kind(node)}")
            return True
        return bool(yaml.SafeLoader.bool_values[node.value.lower()])

    def choice(self, node: yaml.Node, what: str, known: tuple[str, ...]) -> str:
        text = self.text(node, what)
        if text and text not in known:
            hint = did_you_mean(text, known) or f"one of {', '.join(known)}"
            self.note(node, "G501", f"{what} cannot be {text!r}", hint)
        return text

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

    def _items(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            self.note(node, "G501", f"{what} must be a list with at least one item")
            return []
        return list(node.value)

    def place(self, node: yaml.Node) -> Place:
        return Place(self.file, node.start_mark.line + 1, node.start_mark.column + 1)

    def note(self, node: yaml.Node, code: str, message: str, hint: str | None = None) -> None:
        error = BridgeError(code, message, hint=hint, place=self.place(node))
        if str(error) not in map(str, self.problems):
            self.problems.append(error)

    def refuse(self, node: yaml.Node, code: str, message: str, hint: str | None = None) -> NoReturn:
        self.note(node, code, message, hint)
        raise _Refused


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


def _duplicates(what: str, items: Iterable[FeatureView | FeatureService]) -> Iterator[GemelError]:
    first: dict[str, Place | None] = {}
    for item in items:
        if item.name in first:
            yield BridgeError(
                "G503",
                f"two {what}s are named {item.name!r}",
                hint=f"the other is at {first[item.name]}",
                place=item.place,
            )
        first.setdefault(item.name, item.place)


def _unknown_references(
    views: list[FeatureView], services: list[FeatureService], *, complete: bool
) -> Iterator[GemelError]:
    known = {view.name: [feature.name for feature in view.features] for view in views}
    for service in services:
        for reference in service.features:
            # A view that could not be read is reported already; saying that it is unknown would mislead.
            if reference.view not in known:
                if complete:
                    yield BridgeError(
                        "G505",
                        f"no feature view named {reference.view!r}",
                        hint=did_you_mean(reference.view, known),
                        place=reference.place,
                    )
            elif reference.feature and reference.feature not in known[reference.view]:
                base = reference.feature.rsplit("__", 1)
                # A ratio's parts are features too, and only the metric's definition says what is a ratio.
                if not (len(base) == 2 and base[0] in known[reference.view]):
                    yield BridgeError(
                        "G505",
                        f"feature view {reference.view!r} has no feature named {reference.feature!r}",
                        hint=did_you_mean(reference.feature, known[reference.view])
                        or f"it has {', '.join(known[reference.view])}",
                        place=reference.place,
                    )


def _by_place(error: GemelError) -> tuple[str, int, int]:
    place = error.place
    return (place.file, place.line or 0, place.column or 0) if place else ("", 0, 0)
