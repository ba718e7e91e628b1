"""A question as asked: names and texts, nothing looked up yet.

Group-by items come in two spellings, `metric_time__month` and `TimeDimension('metric_time', 'month')`. Calls are
read as Python syntax and never evaluated, so that nothing a user writes can run.
"""

import ast
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gemel.errors import QueryError
from gemel.spec.time import DATE_PARTS, GRAINS, Window, parse_window, windowed_name

ItemKind = Literal["any", "dimension", "time", "entity"]


@dataclass(frozen=True, slots=True)
class Item:
    """A dimension, time dimension or entity as asked for.

    `segments` are the parts between double underscores: `("origin", "name")`, `("metric_time", "month")`. Whether
    the last one is a grain is known only to the graph. `grain` and `part` are those given apart from the name.
    """

    segments: tuple[str, ...]
    grain: str | None = None
    part: str | None = None
    kind: ItemKind = "any"
    alias: str | None = None
    metric: "MetricItem | None" = None

    def __str__(self) -> str:
        name = "__".join(self.segments)
        if self.grain:
            name += f"__{self.grain}"
        if self.part:
            name += f"__extract_{self.part}"
        return name


@dataclass(frozen=True, slots=True)
class MetricItem:
    """A metric for each of some entities, to filter or group facts by: `Metric('orders', ['customer'])`."""

    metric: str
    group_by: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Over:
    """The time before a moment that a metric is asked over: a window, since the start of a grain, or (neither) all."""

    window: Window | None = None
    grain_to_date: str | None = None

    def named(self, metric: str) -> str:
        """`flights_7d`, `flights_month_to_date`, `flights_all`."""
        if self.grain_to_date:
            return f"{metric}_{self.grain_to_date}_to_date"
        return windowed_name(metric, self.window)


@dataclass(frozen=True, slots=True)
class AskedMetric:
    """A metric, at its own meaning or `over` some time before each moment: `flights[7 days]`."""

    name: str
    alias: str | None = None
    over: Over | None = None

    @property
    def column(self) -> str:
        return self.alias or (self.over.named(self.name) if self.over else self.name)


@dataclass(frozen=True, slots=True)
class Order:
    """`key` is an item of the query or the name (or alias) of one of its metrics."""

    key: Item
    descending: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Metrics by group-by items. `where` filters rows, `having` the result; `start` and `end` are inclusive.

    `totals` asks for one row more, over all groups, in which column `is_total` is true.
    """

    metrics: tuple[AskedMetric, ...] = ()
    group_by: tuple[Item, ...] = ()
    where: tuple[str, ...] = ()
    having: tuple[str, ...] = ()
    start: dt.datetime | None = None
    end: dt.datetime | None = None
    order_by: tuple[Order, ...] = ()
    limit: int | None = None
    min_max_only: bool = False
    totals: bool = False


def make_query(
    metrics: Sequence[str | AskedMetric] = (),
    group_by: Sequence[str | Item] = (),
    *,
    where: Sequence[str] = (),
    having: Sequence[str] = (),
    start: str | dt.date | None = None,
    end: str | dt.date | None = None,
    order_by: Sequence[str | Order] = (),
    limit: int | None = None,
    min_max_only: bool = False,
    totals: bool = False,
) -> Query:
    """A Query from the texts that a user writes. Raises QueryError for what cannot be read."""
    if limit is not None and limit < 0:
        raise QueryError("G301", f"a limit cannot be negative: {limit}")
    if limit is not None and limit >= 2**63:
        raise QueryError("G301", f"a limit of {len(str(limit))} digits is no limit", hint="leave it away")
    first, last = _moment(start, "start"), _moment(end, "end", last=True)
    if first and last and first > last:
        raise QueryError("G302", f"the start time {start} is after the end time {end}")
    return Query(
        metrics=tuple(m if isinstance(m, AskedMetric) else parse_metric(m) for m in metrics),
        group_by=tuple(g if isinstance(g, Item) else parse_item(g) for g in group_by),
        where=tuple(where),
        having=tuple(having),
        start=first,
        end=last,
        order_by=tuple(o if isinstance(o, Order) else parse_order(o) for o in order_by),
        limit=limit,
        min_max_only=min_max_only,
        totals=totals,
    )


def parse_metric(text: str) -> AskedMetric:
    """`"flights"`, `"flights[7 days]"`, `"flights[month to date]"`, `"flights[all]"`. Raises QueryError (G325)."""
    name, bracket, inside = text.strip().lower().partition("[")
    if not bracket:
        return AskedMetric(name)
    words = inside.removesuffix("]").split()
    match words:
        case [grain, "to", "date"] if grain in GRAINS:
            return AskedMetric(name, over=Over(grain_to_date=grain))
        case ["all"] | ["all", "time"]:
            return AskedMetric(name, over=Over())
        case [_, _] if (window := parse_window(" ".join(words))) and 0 < window.count < 10**6 and window.unit in GRAINS:
            return AskedMetric(name, over=Over(window))
        case _:
            raise QueryError(
                "G325",
                f"cannot read {text.strip()[:80]!r}",
                hint=f"over a window, a metric is asked as {name[:40]}[7 days], {name[:40]}[month to date] or "
                f"{name[:40]}[all]",
            )


def parse_item(text: str) -> Item:
    """`"origin__name"`, `"Dimension('origin__name')"`, `"Metric('orders', ['customer'])"` -> Item."""
    parsed = _parse(text)
    if isinstance(parsed, Item):
        return parsed
    entities = tuple(segment for item in parsed.group_by for segment in item.segments)
    return Item((*entities, parsed.metric), metric=parsed)


def parse_order(text: str) -> Order:
    """`"-revenue"` or `"Dimension('country').descending(True)"` -> descending; anything else ascending."""
    stripped = text.strip()
    if stripped.startswith("-"):
        return Order(_order_key(stripped[1:]), descending=True)
    match = stripped.replace(" ", "").lower()
    if match.endswith(".descending(true)"):
        return Order(_order_key(stripped[: stripped.rindex(".")]), descending=True)
    if match.endswith(".descending(false)"):
        return Order(_order_key(stripped[: stripped.rindex(".")]))
    return Order(_order_key(stripped))


def parse_reference(text: str) -> Item | MetricItem:
    """What may stand between `{{` and `}}` in a filter. Raises QueryError (G303) for anything else."""
    return _parse(text, calls_only=True)


def _order_key(text: str) -> Item:
    parsed = _parse(text)
    return Item((parsed.metric,)) if isinstance(parsed, MetricItem) else parsed


def _parse(text: str, *, calls_only: bool = False) -> Item | MetricItem:
    stripped = text.strip()
    if not calls_only and stripped and all(c.isalnum() or c == "_" for c in stripped):
        return _dunder(stripped)
    try:
        tree = ast.parse(stripped, mode="eval").body
        return _call(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        shown = stripped if len(stripped) <= 80 else stripped[:77] + "..."
        raise QueryError(
            "G303",
            f"cannot read {shown!r}" + (f": {error}" if isinstance(error, _Refused) else ""),
            hint="write Dimension('entity__name'), TimeDimension('metric_time', 'month'), Entity('name') or "
            "Metric('name', ['entity'])",
        ) from None


class _Refused(ValueError):
    """Why a call is not one of ours; becomes part of the QueryError."""


def _dunder(text: str) -> Item:
    segments = tuple(text.lower().split("__"))
    if not all(segments):
        raise QueryError("G303", f"cannot read {text!r}: a name between double underscores is empty")
    *front, last = segments
    if front and last.startswith("extract_"):
        return Item(tuple(front), part=_date_part(last.removeprefix("extract_")))
    return Item(segments)


def _call(tree: ast.expr) -> Item | MetricItem:
    if not isinstance(tree, ast.Call):
        raise _Refused("only calls of Dimension, TimeDimension, Entity and Metric can stand here")
    if isinstance(tree.func, ast.Attribute):
        return _method(_call(tree.func.value), tree.func.attr, tree)
    if not isinstance(tree.func, ast.Name) or tree.func.id not in _SIGNATURES:
        raise _Refused("only Dimension, TimeDimension, Entity and Metric can be called here")
    values = _bind_arguments(_SIGNATURES[tree.func.id], tree)
    if tree.func.id == "Metric":
        entities = _names(values.get("group_by"), "group_by")
        return MetricItem(_text(values, "metric_name").lower(), tuple(parse_item(entity) for entity in entities))
    item = _dunder(_text(values, _SIGNATURES[tree.func.id][0]))
    path = tuple(p.lower() for p in _names(values.get("entity_path"), "entity_path") for p in p.split("__"))
    if path and item.segments[: len(path)] != path:
        item = replace(item, segments=path + item.segments)
    kinds: dict[str, ItemKind] = {"Dimension": "dimension", "TimeDimension": "time", "Entity": "entity"}
    item = replace(item, kind=kinds[tree.func.id])
    if values.get("time_granularity_name") is not None:
        item = replace(item, grain=_text(values, "time_granularity_name").lower())
    if values.get("date_part_name") is not None:
        item = replace(item, part=_date_part(_text(values, "date_part_name")))
    return item


_SIGNATURES = {
    "Dimension": ("name", "entity_path"),
    "TimeDimension": ("time_dimension_name", "time_granularity_name", "entity_path", "descending", "date_part_name"),
    "Entity": ("entity_name", "entity_path"),
    "Metric": ("metric_name", "group_by"),
}
# dbt's other spellings of the same arguments, as in its SDK and its docs.
_SYNONYMS = {"grain": "time_granularity_name", "date_part": "date_part_name", "entity_name": "name", "name": "name"}


def _method(target: Item | MetricItem, method: str, call: ast.Call) -> Item | MetricItem:
    if not isinstance(target, Item) or method not in ("grain", "date_part", "descending"):
        raise _Refused(f"there is no .{method[:40]}() here")
    values = _bind_arguments(("value",), call)
    match method:
        case "grain":
            return replace(target, grain=_text(values, "value").lower(), kind="time")
        case "date_part":
            return replace(target, part=_date_part(_text(values, "value")), kind="time")
        case _:
            raise _Refused("descending() belongs into an order, not here")


def _bind_arguments(names: tuple[str, ...], call: ast.Call) -> dict[str, object]:
    if len(call.args) > len(names):
        raise _Refused("too many arguments")
    values = {name: _literal(node) for name, node in zip(names, call.args, strict=False)}
    for keyword in call.keywords:
        name = keyword.arg or "**"
        if name not in names:
            name = _SYNONYMS.get(name, name)
        if name == "name":
            name = names[0]
        if name not in names:
            raise _Refused(f"unknown argument {keyword.arg!r}")
        if name in values:
            raise _Refused(f"argument {keyword.arg!r} is given twice")
        values[name] = _literal(keyword.value)
    return values


def _literal(node: ast.expr) -> object:
    match node:
        case ast.Constant(value=str() | bool() | None):
            return node.value
        case ast.Name(id="true" | "false" | "none"):
            return {"true": True, "false": False, "none": None}[node.id]
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return [_literal(element) for element in elements]
        case _:
            raise _Refused("arguments must be plain texts")


def _text(values: dict[str, object], name: str) -> str:
    value = values.get(name)
    if not isinstance(value, str) or not value.strip():
        raise _Refused(f"{name} must be a text")
    return value.strip()


def _names(value: object, name: str) -> list[str]:
    match value:
        case None:
            return []
        case str():
            return [value]
        case list() if all(isinstance(part, str) for part in value):
            return list(value)
        case _:
            raise _Refused(f"{name} must be a list of texts")


def _date_part(text: str) -> str:
    part = text.strip().lower()
    if part not in DATE_PARTS:
        raise QueryError("G304", f"no date part named {part[:40]!r}", hint=f"one of {', '.join(DATE_PARTS)}")
    return part


def _moment(value: str | dt.date | None, name: str, *, last: bool = False) -> dt.datetime | None:
    """A time as a naive datetime. A bare end date means all of that day, up to its last microsecond."""
    if value is None:
        return None
    if isinstance(value, str):
        text = value.strip()
        try:
            parsed: dt.date = dt.date.fromisoformat(text) if len(text) <= 10 else dt.datetime.fromisoformat(text)
        except ValueError:
            raise _unreadable(name, text) from None
    else:
        parsed = value
    if isinstance(parsed, dt.datetime):
        try:
            return (parsed if parsed.tzinfo is None else parsed.astimezone(dt.UTC)).replace(tzinfo=None)
        except OverflowError:  # before the year 1 or after 9999, once it is in UTC
            raise _unreadable(name, str(value)) from None
    return dt.datetime.combine(parsed, dt.time.max if last else dt.time.min)


def _unreadable(name: str, text: str) -> QueryError:
    hint = "write 2013-01-31 or 2013-01-31T12:00:00"
    return QueryError("G302", f"cannot read the {name} time {text[:60]!r}", hint=hint)
