"""Feature views: metrics over trailing windows and dimensions of an entity, at the moments of a schedule."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from gemel.errors import Place
from gemel.spec.feature_views.document import (
    DTYPES,
    LONGEST,
    UNITS,
    check_default_name,
    read_duration,
    read_name,
    read_tags,
)
from gemel.spec.nodes import Node, Refused
from gemel.spec.time import Window, parse_window, seconds, windowed_name

SCHEDULES = ("minute", "hour", "day", "week")
VIEW_KEYS = (
    *("name", "description", "entity", "schedule", "known_at", "delay", "ttl", "lookback", "detect"),
    *("freshness", "online", "push", "as_of", "features", "owner", "tags"),
)
METRIC_KEYS = ("metric", "windows", "name", "dtype", "description")
DIMENSION_KEYS = ("dimension", "as_of", "name", "dtype", "description")


@dataclass(frozen=True, slots=True)
class MetricFeature:
    """A metric over one trailing window; no window is all time, or the metric's `own`. `part` is a side of a ratio."""

    name: str
    metric: str
    window: Window | None
    dtype: str | None = None
    description: str | None = None
    own: bool = False
    part: str | None = None
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class DimensionFeature:
    """A dimension of the entity, as of the moment, or (`current`) as it is now."""

    name: str
    dimension: str
    current: bool = False
    dtype: str | None = None
    description: str | None = None
    place: Place | None = field(default=None, compare=False)


Feature = MetricFeature | DimensionFeature


@dataclass(frozen=True, slots=True)
class FeatureView:
    """One feature table: features of the entities at every moment of the schedule (see docs/features.md).

    `detect` is whether a build finds facts that changed before the `lookback`, and makes their rows again.
    `freshness` is the maximum age of the newest row. `push` is the name of the source through which others can push
    newer rows online.
    """

    name: str
    entities: tuple[str, ...]
    schedule: str
    features: tuple[Feature, ...]
    known_at: str | None = None
    known_at_place: Place | None = field(default=None, compare=False)
    delay: Window | None = None
    ttl: Window | None = None
    lookback: Window | None = None
    detect: bool = True
    freshness: Window | None = None
    online: bool = True
    push: str | None = None
    description: str | None = None
    owner: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    place: Place | None = field(default=None, compare=False)

    @property
    def every_step(self) -> bool:
        """Whether there is a row at every step, not only where a value changes: values that expire must be repeated."""
        return self.ttl is not None

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)

    @property
    def declared_names(self) -> tuple[str, ...]:
        """The names of the features without the sides of ratios, which are not declared separately."""
        sides = {each.name for each in self.features if isinstance(each, MetricFeature) and each.part}
        return tuple(name for name in self.feature_names if name not in sides)


def read_view(node: Node) -> FeatureView:
    """Raises Refused."""
    keys = node.keys("a feature view", VIEW_KEYS, required=("name", "entity", "schedule", "features"))
    name = read_name(keys["name"], "a feature view")
    entities = _entities(keys["entity"])
    schedule = keys["schedule"].choice("schedule", SCHEDULES)
    current = keys.choice("as_of", ("current",)) == "current"
    ttl = read_duration(keys, "ttl")
    if ttl and schedule in SCHEDULES and seconds(ttl) < seconds(Window(1, schedule)):
        message = f"a ttl of {ttl} is shorter than one {schedule}: values would expire before the next row"
        keys["ttl"].note(message, code="G504")
    online = keys.flag("online", default=True)
    push = _push(keys["push"], name) if "push" in keys else None
    if push and not online:
        message = f"rows cannot be pushed to {name!r}, which is not online"
        keys["push"].note(message, "remove `online: false` from it, or `push`", code="G564")
    detect = keys.flag("detect", default=True)
    if "detect" in keys and "lookback" not in keys:
        message = "`detect` is about rows that a build keeps, and without a `lookback` it keeps none"
        keys["detect"].note(message, "remove it, or give the view a `lookback`")
    known_at = keys.text("known_at")
    return FeatureView(
        name=name,
        entities=entities,
        schedule=schedule,
        features=tuple(_features(keys["features"], entities, schedule, current)),
        known_at=known_at.lower() if known_at else None,
        known_at_place=keys["known_at"].place if known_at else None,
        delay=read_duration(keys, "delay"),
        ttl=ttl,
        lookback=read_duration(keys, "lookback"),
        detect=detect,
        freshness=read_duration(keys, "freshness"),
        online=online,
        push=push,
        description=keys.text("description"),
        owner=keys.text("owner"),
        tags=read_tags(keys),
        place=keys["name"].place,
    )


def _entities(node: Node) -> tuple[str, ...]:
    nodes = node.items("entity", least=1) if isinstance(node.value, list) else [node]
    names = [read_name(each, "an entity") for each in nodes]
    for index, name in enumerate(names):
        if name and name in names[:index]:
            node.note(f"entity {name!r} is listed twice", code="G503")
    return tuple(names)


def _push(node: Node, view: str) -> str | None:
    """The name of the push source: the given name, or one after the view for `true`."""
    if isinstance(node.value, bool):
        return f"{view}_push" if node.value else None
    return read_name(node, "a push source")


def _features(node: Node, entities: tuple[str, ...], schedule: str, current: bool) -> Iterator[Feature]:
    names: set[str] = set()
    for item in node.items("features", least=1):
        try:
            features = list(_feature(item, schedule, current))
        except Refused:
            continue
        for feature in features:
            if not feature.name:
                continue
            if feature.name in entities:
                message = f"feature {feature.name!r} has the name of the view's entity"
                item.note(message, "give it another name with `name:`", code="G502")
            elif feature.name in names:
                item.note(f"two features are named {feature.name!r}", "rename one of them with `name:`", code="G503")
            names.add(feature.name)
            yield feature


def _feature(node: Node, schedule: str, current: bool) -> Iterator[Feature]:
    keys = node.keys("a feature", tuple(dict.fromkeys(METRIC_KEYS + DIMENSION_KEYS)))
    if ("metric" in keys) == ("dimension" in keys):
        node.refuse("a feature is either a `metric:` or a `dimension:`")
    kind: Literal["metric", "dimension"] = "metric" if "metric" in keys else "dimension"
    allowed, required = (METRIC_KEYS, ("metric",)) if kind == "metric" else (DIMENSION_KEYS, ())
    keys = node.keys(f"a {kind} feature", allowed, required=required)
    name = read_name(keys["name"], "a feature") if "name" in keys else None
    dtype = keys.choice("dtype", DTYPES)
    description = keys.text("description")
    subject = keys[kind].text(kind).lower()
    place = keys[kind].place

    def choose_name(text: str) -> str:
        return name or (check_default_name(keys[kind], text) if subject else "")

    if kind == "dimension":
        current = keys.choice("as_of", ("current",)) == "current" or current
        yield DimensionFeature(choose_name(subject.split("__")[-1]), subject, current, dtype, description, place)
        return
    if "windows" not in keys:
        yield MetricFeature(choose_name(subject), subject, None, dtype, description, own=True, place=place)
        return
    windows = list(_windows(keys["windows"], schedule))
    if name and len(windows) > 1:
        message = f"{len(windows)} windows cannot share the name {name!r}"
        keys["name"].note(message, "omit the name, or write one feature for each window", code="G502")
        windows = windows[:1]
    for window in windows:
        yield MetricFeature(
            choose_name(windowed_name(subject, window)), subject, window, dtype, description, place=place
        )


def _windows(node: Node, schedule: str) -> Iterator[Window | None]:
    windows: list[Window | None] = []
    for item in node.items("windows", least=1):
        try:
            window = _window(item, schedule)
        except Refused:
            continue
        if window in windows:
            item.note(f"the window {window or 'all time'} is listed twice", code="G503")
        windows.append(window)
        yield window


def _window(node: Node, schedule: str) -> Window | None:
    text = node.text("a window")
    if not text:
        raise Refused
    if text.lower() in ("all", "all time"):
        return None
    window = parse_window(text)
    if window is not None and window.unit in ("month", "quarter", "year"):
        node.refuse(f"a window of {text} does not have a constant length", "write it in days", code="G504")
    if window is None or window.unit not in UNITS or window.count == 0:
        node.refuse(f"{text!r} is not a window", "write 7 days, 2 hours or all time", code="G504")
    if seconds(window) > LONGEST:
        node.refuse(f"a window of {text} is longer than a hundred years", "write all time", code="G504")
    if schedule in SCHEDULES and seconds(window) % seconds(Window(1, schedule)):
        node.refuse(
            f"a window of {text} is not a whole number of the schedule's {schedule}s",
            f"make the window a multiple of one {schedule}, or the schedule finer",
            code="G504",
        )
    return window
