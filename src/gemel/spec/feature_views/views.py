"""Feature views: metrics over trailing windows, and dimensions, of an entity at the moments of a schedule."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import yaml

from gemel.errors import Place
from gemel.spec.feature_views.document import DTYPES, LONGEST, UNITS, Document, Refused
from gemel.spec.time import Window, parse_window, seconds, windowed_name

SCHEDULES = ("minute", "hour", "day", "week")
VIEW_KEYS = (
    *("name", "description", "entity", "schedule", "known_at", "delay", "ttl", "lookback"),
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
    """One feature table: features of the entities at every moment of the schedule (see docs/features.md).

    `freshness` is how old the newest row may be. `push` is the name of the source through which others can push newer
    rows online.
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
    freshness: Window | None = None
    online: bool = True
    push: str | None = None
    description: str | None = None
    owner: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    place: Place | None = field(default=None, compare=False)

    @property
    def every_step(self) -> bool:
        """Whether there is a row at every step, not only where a value changes: what expires has to be made again."""
        return self.ttl is not None

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)

    @property
    def declared_names(self) -> tuple[str, ...]:
        """Without the sides of ratios, which no view declares by itself."""
        sides = {each.name for each in self.features if isinstance(each, MetricFeature) and each.part}
        return tuple(name for name in self.feature_names if name not in sides)


def read_view(document: Document, node: yaml.Node) -> FeatureView:
    """Raises Refused."""
    before = len(document.problems)
    keys = document.mapping(node, "a feature view", VIEW_KEYS, ("name", "entity", "schedule", "features"))
    name = document.name(keys["name"], "a feature view")
    entities = _entities(document, keys["entity"])
    schedule = document.choice(keys["schedule"], "schedule", SCHEDULES)
    current = "as_of" in keys and document.choice(keys["as_of"], "as_of", ("current",)) == "current"
    delay = document.duration(keys["delay"], "delay") if "delay" in keys else None
    ttl = document.duration(keys["ttl"], "ttl") if "ttl" in keys else None
    if ttl and schedule in SCHEDULES and seconds(ttl) < seconds(Window(1, schedule)):
        document.note(
            keys["ttl"],
            "G504",
            f"a ttl of {ttl} is shorter than one {schedule}, so values would expire before the next row",
        )
    online = document.boolean(keys["online"], "online") if "online" in keys else True
    push = _push(document, keys["push"], name) if "push" in keys else None
    if push and not online:
        document.note(
            keys["push"],
            "G564",
            f"rows cannot be pushed to {name!r}, which is not online",
            "remove `online: false` from it, or `push`",
        )
    view = FeatureView(
        name=name,
        entities=entities,
        schedule=schedule,
        features=tuple(_features(document, keys["features"], entities, schedule, current)),
        known_at=document.text(keys["known_at"], "known_at").lower() if "known_at" in keys else None,
        known_at_place=document.place(keys["known_at"]) if "known_at" in keys else None,
        delay=delay,
        ttl=ttl,
        lookback=document.duration(keys["lookback"], "lookback") if "lookback" in keys else None,
        freshness=document.duration(keys["freshness"], "freshness") if "freshness" in keys else None,
        online=online,
        push=push,
        description=document.text(keys["description"], "description") if "description" in keys else None,
        owner=document.text(keys["owner"], "owner") if "owner" in keys else None,
        tags=document.tags(keys["tags"]) if "tags" in keys else (),
        place=document.place(keys["name"]),
    )
    if len(document.problems) > before:
        raise Refused
    return view


def _entities(document: Document, node: yaml.Node) -> tuple[str, ...]:
    if isinstance(node, yaml.SequenceNode):
        names = [document.name(item, "an entity") for item in document.items(node, "entity")]
    else:
        names = [document.name(node, "an entity")]
    for index, name in enumerate(names):
        if name and name in names[:index]:
            document.note(node, "G503", f"entity {name!r} is listed twice")
    return tuple(names)


def _push(document: Document, node: yaml.Node, view: str) -> str | None:
    """`true`, or the name of the source; without one it is named after the view."""
    if document.is_boolean(node):
        return f"{view}_push" if document.boolean(node, "push") else None
    return document.name(node, "a push source")


def _features(
    document: Document, node: yaml.Node, entities: tuple[str, ...], schedule: str, current: bool
) -> Iterator[Feature]:
    seen: set[str] = set()
    for item in document.items(node, "features"):
        try:
            found = list(_feature(document, item, schedule, current))
        except Refused:
            continue
        for feature in found:
            if not feature.name:
                continue
            if feature.name in entities:
                document.note(
                    item,
                    "G502",
                    f"feature {feature.name!r} has the name of the view's entity",
                    "give it another with `name:`",
                )
            elif feature.name in seen:
                document.note(
                    item,
                    "G503",
                    f"two features are named {feature.name!r}",
                    "give one another with `name:`",
                )
            seen.add(feature.name)
            yield feature


def _feature(document: Document, node: yaml.Node, schedule: str, current: bool) -> Iterator[Feature]:
    keys = document.mapping(node, "a feature", tuple(dict.fromkeys(METRIC_KEYS + DIMENSION_KEYS)))
    if ("metric" in keys) == ("dimension" in keys):
        document.refuse(node, "G501", "a feature is either a `metric:` or a `dimension:`")
    kind: Literal["metric", "dimension"] = "metric" if "metric" in keys else "dimension"
    known, required = (METRIC_KEYS, ("metric",)) if kind == "metric" else (DIMENSION_KEYS, ())
    keys = document.mapping(node, f"a {kind} feature", known, required)
    name = document.name(keys["name"], "a feature") if "name" in keys else None
    dtype = document.choice(keys["dtype"], "dtype", DTYPES) if "dtype" in keys else None
    description = document.text(keys["description"], "description") if "description" in keys else None
    place = document.place(keys[kind])
    subject = document.text(keys[kind], kind).lower()
    if kind == "dimension":
        current = ("as_of" in keys and document.choice(keys["as_of"], "as_of", ("current",)) == "current") or current
        name = name or (document.made_name(keys[kind], subject.split("__")[-1]) if subject else "")
        yield DimensionFeature(name, subject, current, dtype, description, place)
        return
    if "windows" not in keys:
        made = name or (document.made_name(keys[kind], subject) if subject else "")
        yield MetricFeature(made, subject, None, dtype, description, own=True, place=place)
        return
    windows = list(_windows(document, keys["windows"], schedule))
    if name and len(windows) > 1:
        document.note(
            keys["name"],
            "G502",
            f"one name, {name!r}, for {len(windows)} windows",
            "leave the name out, or write one feature for each window",
        )
        windows = windows[:1]
    for window in windows:
        made = name or (document.made_name(keys[kind], windowed_name(subject, window)) if subject else "")
        yield MetricFeature(made, subject, window, dtype, description, place=place)


def _windows(document: Document, node: yaml.Node, schedule: str) -> Iterator[Window | None]:
    seen: list[Window | None] = []
    for item in document.items(node, "windows"):
        try:
            window = _window(document, item, schedule)
        except Refused:
            continue
        if window in seen:
            document.note(item, "G503", f"the window {window or 'all time'} is listed twice")
        seen.append(window)
        yield window


def _window(document: Document, node: yaml.Node, schedule: str) -> Window | None:
    text = document.text(node, "a window")
    if not text:
        raise Refused
    if text.lower() in ("all", "all time"):
        return None
    window = parse_window(text)
    if window is not None and window.unit in ("month", "quarter", "year"):
        document.refuse(node, "G504", f"a window of {text} is not always equally long", "count it in days")
    if window is None or window.unit not in UNITS or window.count == 0:
        document.refuse(node, "G504", f"{text!r} is not a window", "write 7 days, 2 hours or all time")
    if seconds(window) > LONGEST:
        document.refuse(node, "G504", f"a window of {text} is longer than a hundred years", "write all time")
    if schedule in SCHEDULES and seconds(window) % seconds(Window(1, schedule)):
        document.refuse(
            node,
            "G504",
            f"a window of {text} is not a whole number of the schedule's {schedule}s",
            f"make the window a multiple of one {schedule}, or the schedule finer",
        )
    return window
