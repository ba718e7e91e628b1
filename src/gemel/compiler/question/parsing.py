"""Texts and mappings, read into a Query.

A group-by item is `metric_time__month`, `TimeDimension('metric_time', 'month')` or, as dbt's own clients write it,
`{"name": "metric_time", "grain": "month"}`. Calls are parsed as Python syntax and never evaluated: nothing that a
user writes can run.
"""

import ast
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gemel.arguments import require_items, require_text
from gemel.compiler.question.bounds import first_moment, last_moment
from gemel.compiler.question.query import Item, ItemKind, MetricItem, Order, Over, Query, QueryMetric
from gemel.errors import About, QueryError, did_you_mean
from gemel.spec.manifest import SavedQuery
from gemel.spec.time import DATE_PARTS, GRAINS, parse_window
from gemel.spec.zones import UTC

Spelling = str | Mapping[str, Any]
"""A metric, a group-by item or an order, written as a text or as a mapping of its parts."""


def make_query(
    metrics: Spelling | QueryMetric | Sequence[Spelling | QueryMetric] = (),
    group_by: Spelling | Item | Sequence[Spelling | Item] = (),
    *,
    where: str | Sequence[str] = (),
    trusted: str | Sequence[str] = (),
    having: str | Sequence[str] = (),
    start: str | dt.date | None = None,
    end: str | dt.date | None = None,
    order_by: Spelling | Order | Sequence[Spelling | Order] = (),
    limit: int | None = None,
    min_max_only: bool = False,
    totals: bool = False,
    timezone: str = UTC,
) -> Query:
    """The Query that a user's texts and mappings spell out. `start` and `end` are in `timezone` unless they have an
    offset. Raises QueryError for what cannot be read.
    """
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int)):
        raise QueryError("G301", f"a limit must be a whole number, not {limit!r}"[:120])
    if limit is not None and limit < 0:
        raise QueryError("G301", f"a limit cannot be negative: {limit}", hint="omit it for all rows")
    if limit is not None and limit >= 2**63:
        raise QueryError("G301", f"a limit of {len(str(limit))} digits is too large", hint="omit it")
    first, last = first_moment(start, timezone=timezone), last_moment(end, timezone=timezone)
    if first and last and first > last:
        raise QueryError(
            "G302", f"the start time {start} is after the end time {end}", hint="exchange them; both are inclusive"
        )
    return Query(
        metrics=tuple(m if isinstance(m, QueryMetric) else parse_metric(m) for m in _several(metrics, "metrics")),
        group_by=tuple(g if isinstance(g, Item) else parse_item(g) for g in _several(group_by, "group_by")),
        where=tuple(require_text(text, "where") for text in _several(where, "where")),
        trusted=tuple(require_text(text, "where") for text in _several(trusted, "where")),
        having=tuple(require_text(text, "having") for text in _several(having, "having")),
        start=first,
        end=last,
        order_by=tuple(o if isinstance(o, Order) else parse_order(o) for o in _several(order_by, "order_by")),
        limit=limit,
        min_max_only=min_max_only,
        totals=totals,
    )


def saved_question(saved: SavedQuery) -> Query:
    """What a saved query asks. Raises QueryError."""
    query = make_query(saved.metrics, saved.group_by, order_by=saved.order_by, limit=saved.limit)
    return replace(query, own=saved.where, about=About("saved_query", saved.name))


def _several(value: object, what: str) -> Iterable[Any]:
    """A single item counts as a list of one: `metrics="revenue"` would otherwise be seven metrics of one letter."""
    if isinstance(value, str | Mapping | QueryMetric | Item | Order):
        return (value,)
    return require_items(value, what)


def _parts(mapping: Mapping[str, Any], what: str, names: Sequence[str]) -> dict[str, Any]:
    """The parts of a mapping. An explicit None counts as an absent part."""
    for key in mapping:
        if key not in names:
            hint = did_you_mean(str(key), names) or f"it has {', '.join(names)}"
            raise QueryError("G343", f"{what} has no part {str(key)[:40]!r}", hint=hint)
    return {key: value for key, value in mapping.items() if value is not None}


def parse_metric(spelling: Spelling) -> QueryMetric:
    """`"flights"`, `"flights[7 days]"`, `"flights[month to date]"`, `{"name": "flights", "alias": "n"}`.

    Raises QueryError (G325, G343).
    """
    if isinstance(spelling, Mapping):
        parts = _parts(spelling, "a metric", ("name", "alias"))
        metric = parse_metric(require_text(parts.get("name"), "the name of a metric"))
        return replace(metric, alias=_alias(parts)) if "alias" in parts else metric
    text = require_text(spelling, "a metric")
    name, bracket, inside = text.strip().lower().partition("[")
    if not bracket:
        return QueryMetric(name)
    words = inside.removesuffix("]").split()
    match words:
        case [grain, "to", "date"] if grain in GRAINS:
            return QueryMetric(name, over=Over(grain_to_date=grain))
        case ["all"] | ["all", "time"]:
            return QueryMetric(name, over=Over())
        case [_, _] if (window := parse_window(" ".join(words))) and 0 < window.count < 10**6 and window.unit in GRAINS:
            return QueryMetric(name, over=Over(window))
        case _:
            raise QueryError(
                "G325",
                f"cannot read {text.strip()[:80]!r}",
                hint=f"to ask for a metric over a window, write {name[:40]}[7 days], {name[:40]}[month to date] or "
                f"{name[:40]}[all]",
            )


def parse_item(spelling: Spelling) -> Item:
    """`"origin__name"`, `"Dimension('origin__name')"`, `"Metric('orders', ['customer'])"`, or a mapping.

    A mapping has the parts `name`, `grain`, `date_part` and `alias`: `{"name": "metric_time", "grain": "month"}`.
    Raises QueryError (G303, G304, G343).
    """
    if isinstance(spelling, Mapping):
        parts = _parts(spelling, "a group-by item", ("name", "grain", "date_part", "alias"))
        item = parse_item(require_text(parts.get("name"), "the name of a group-by item"))
        if "grain" in parts:
            item = replace(item, grain=require_text(parts["grain"], "a grain").strip().lower(), kind="time")
        if "date_part" in parts:
            item = replace(item, part=_date_part(require_text(parts["date_part"], "a date part")), kind="time")
        return replace(item, alias=_alias(parts)) if "alias" in parts else item
    parsed = _parse(require_text(spelling, "a group-by item"))
    if isinstance(parsed, Item):
        return parsed
    entities = tuple(segment for item in parsed.group_by for segment in item.segments)
    return Item((*entities, parsed.metric), metric=parsed)


def parse_order(spelling: Spelling) -> Order:
    """`"-revenue"` or `"Dimension('country').descending(True)"` -> descending; anything else ascending.

    As a mapping: `{"metric": "revenue", "descending": True}`, `{"group_by": {"name": "metric_time", "grain": "day"}}`.
    """
    if isinstance(spelling, Mapping):
        parts = _parts(spelling, "an order", ("metric", "group_by", "descending"))
        match parts.get("metric"), parts.get("group_by"):
            case (metric, None) if metric is not None:
                key = Item((parse_metric(metric).column,))
            case (None, item) if item is not None:
                key = parse_item(item)
            case _:
                raise QueryError("G343", "an order must name either a metric or a group_by")
        return Order(key, descending=parts.get("descending") is True)
    stripped = require_text(spelling, "an order").strip()
    if stripped.startswith("-"):
        return Order(_order_key(stripped[1:]), descending=True)
    match = stripped.replace(" ", "").lower()
    if match.endswith(".descending(true)"):
        return Order(_order_key(stripped[: stripped.rindex(".")]), descending=True)
    if match.endswith(".descending(false)"):
        return Order(_order_key(stripped[: stripped.rindex(".")]))
    return Order(_order_key(stripped))


def parse_reference(text: str) -> Item | MetricItem:
    """The text between `{{` and `}}` in a filter. Raises QueryError (G303) if it is not a reference."""
    return _parse(text, calls_only=True)


def _alias(parts: dict[str, Any]) -> str:
    alias = require_text(parts["alias"], "an alias").strip()
    if not alias:
        raise QueryError("G343", "an alias cannot be empty")
    return alias


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
        excerpt = stripped if len(stripped) <= 80 else stripped[:77] + "..."
        raise QueryError(
            "G303",
            f"cannot read {excerpt!r}" + (f": {error}" if isinstance(error, _Refused) else ""),
            hint="write Dimension('entity__name'), TimeDimension('metric_time', 'month'), Entity('name') or "
            "Metric('name', ['entity'])",
        ) from None


class _Refused(ValueError):
    """A call that is not allowed. Its reason becomes part of the QueryError."""


def _dunder(text: str) -> Item:
    segments = tuple(text.lower().split("__"))
    if not all(segments):
        raise QueryError(
            "G303",
            f"cannot read {text!r}: a name between double underscores cannot be empty",
            hint="a dimension is entity__name",
        )
    *front, last = segments
    if front and last.startswith("extract_"):
        return Item(tuple(front), part=_date_part(last.removeprefix("extract_")))
    return Item(segments)


def _call(tree: ast.expr) -> Item | MetricItem:
    if not isinstance(tree, ast.Call):
        raise _Refused("only calls of Dimension, TimeDimension, Entity and Metric are allowed here")
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
            raise _Refused("arguments must be plain text literals")


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
