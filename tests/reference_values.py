"""The small change of the reference evaluator: references, expressions with SQL's NULL, the calendar."""

import calendar
import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlglot
from sqlglot import exp

from gemel.compiler.question.parsing import parse_reference
from gemel.compiler.question.query import Item, MetricItem
from gemel.spec.time import GRAINS, Window

Value = Any


@dataclass(frozen=True)
class Ref:
    """An item looked up: `customer__region__opened_at__month` is ("customer", "region"), "opened_at", "month".

    A metric inside a filter has the entities it is computed by. `component` is one column of a key of several.
    """

    name: str
    links: tuple[str, ...] = ()
    grain: str | None = None
    part: str | None = None
    entities: tuple["Ref", ...] = ()
    component: str | None = None


def to_ref(item: Item | MetricItem, custom: Iterable[str]) -> Ref:
    if isinstance(item, MetricItem):
        return Ref(item.metric, entities=tuple(to_ref(entity, custom) for entity in item.group_by))
    *links, name = item.segments
    grain = item.grain
    if links and (name in GRAINS or name in custom):
        *links, name, grain = *links, item.grain or name
    return Ref(name, tuple(links), None if item.part else grain, item.part)


# --- Expressions --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Filter:
    """A condition over references. True, false or not known; only true lets a row through."""

    condition: str
    refs: tuple[Ref, ...]

    def holds(self, values: Sequence[Value]) -> bool:
        named = {f"ref_{place}": value for place, value in enumerate(values)}
        return expression(self.condition, named.__getitem__) is True


def parse_filter(text: str, complete: Callable[[Item | MetricItem], Ref]) -> Filter:
    """`{{ Dimension('order__status') }} = 'done'` -> `ref_0 = 'done'` and the reference."""
    refs: list[Ref] = []

    def place(match: re.Match[str]) -> str:
        refs.append(complete(parse_reference(match[1])))
        return f"ref_{len(refs) - 1}"

    return Filter(re.sub(r"\{\{(.*?)\}\}", place, text, flags=re.DOTALL), tuple(refs))


@cache
def parse(text: str) -> exp.Expression:
    return sqlglot.parse_one(text, dialect="duckdb")


def expression(text: str, column: Callable[[str], Value]) -> Value:
    """The value of a SQL expression, `column` giving the value of a name."""
    return _value(parse(text), column)


def _value(tree: exp.Expression, column: Callable[[str], Value]) -> Value:
    def value(part: exp.Expression | None) -> Value:
        return None if part is None else _value(part, column)

    match tree:
        case exp.Column():
            return plain(column(tree.name))
        case exp.Paren():
            return value(tree.this)
        case exp.Tuple():
            return tuple(value(part) for part in tree.expressions)
        case exp.Null():
            return None
        case exp.Boolean():
            return bool(tree.this)
        case exp.Literal():
            return tree.this if tree.is_string else float(tree.this) if "." in tree.this else int(tree.this)
        case exp.And():
            return both(value(tree.left), value(tree.right))
        case exp.Or():
            return negated(both(negated(value(tree.left)), negated(value(tree.right))))
        case exp.Not():
            return negated(value(tree.this))
        case exp.Is():
            right = value(tree.expression)
            return value(tree.this) is right if right is None or isinstance(right, bool) else NotImplemented
        case exp.In():
            options = [compared(exp.EQ, value(tree.this), value(option)) for option in tree.expressions]
            return True if True in options else None if None in options else False
        case exp.Between():
            low = compared(exp.GTE, value(tree.this), value(tree.args["low"]))
            return both(low, compared(exp.LTE, value(tree.this), value(tree.args["high"])))
        case exp.Case():
            for branch in tree.args["ifs"]:
                met = value(branch.this)
                if (tree.this is None and met is True) or (tree.this and compared(exp.EQ, value(tree.this), met)):
                    return value(branch.args["true"])
            return value(tree.args.get("default"))
        case exp.Coalesce():
            values = [value(part) for part in (tree.this, *tree.expressions)]
            return next((found for found in values if found is not None), None)
        case exp.Nullif():
            left = value(tree.this)
            return None if compared(exp.EQ, left, value(tree.expression)) else left
        case exp.Cast():
            return cast(value(tree.this), tree.to.this)
        case exp.Neg():
            inner = value(tree.this)
            return None if inner is None else -inner
        case exp.EQ() | exp.NEQ() | exp.LT() | exp.LTE() | exp.GT() | exp.GTE():
            return compared(type(tree), value(tree.left), value(tree.right))
        case exp.Add() | exp.Sub() | exp.Mul() | exp.Div():
            return reckoned(type(tree), value(tree.left), value(tree.right))
        case _:
            raise NotImplementedError(tree.sql())


def both(left: Value, right: Value) -> bool | None:
    return False if left is False or right is False else None if left is None or right is None else True


def negated(value: Value) -> bool | None:
    return None if value is None else not value


COMPARISONS: Mapping[type, Callable[[Value, Value], bool]] = {
    exp.EQ: lambda a, b: a == b,
    exp.NEQ: lambda a, b: a != b,
    exp.LT: lambda a, b: a < b,
    exp.LTE: lambda a, b: a <= b,
    exp.GT: lambda a, b: a > b,
    exp.GTE: lambda a, b: a >= b,
}


def compared(operator: type, left: Value, right: Value) -> bool | None:
    """A text beside a time is read as a time."""
    if left is None or right is None:
        return None
    if isinstance(left, dt.datetime) and isinstance(right, str):
        right = dt.datetime.fromisoformat(right)
    if isinstance(right, dt.datetime) and isinstance(left, str):
        left = dt.datetime.fromisoformat(left)
    return COMPARISONS[operator](left, right)


def reckoned(operator: type, left: Value, right: Value) -> Value:
    """Division is floating, and NULL by zero."""
    if left is None or right is None or (operator is exp.Div and right == 0):
        return None
    return ARITHMETIC[operator](left, right)


ARITHMETIC: Mapping[type, Callable[[Value, Value], Value]] = {
    exp.Add: lambda a, b: a + b,
    exp.Sub: lambda a, b: a - b,
    exp.Mul: lambda a, b: a * b,
    exp.Div: lambda a, b: a / b,
}


def cast(value: Value, kind: exp.DataType.Type) -> Value:
    if value is None:
        return None
    if kind in (exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPNTZ, exp.DataType.Type.DATE):
        time = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
        return truncate(time, "day") if kind is exp.DataType.Type.DATE else time
    return {exp.DataType.Type.DOUBLE: float, exp.DataType.Type.INT: int, exp.DataType.Type.BOOLEAN: bool}[kind](value)


def plain(value: Value) -> Value:
    """A date is the midnight that it begins with."""
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return dt.datetime.combine(value, dt.time())
    return value


# --- The calendar -------------------------------------------------------------------------------------------


def truncate(moment: Value, grain: str) -> dt.datetime | None:
    """The start of the period; weeks start on Monday."""
    if moment is None:
        return None
    time = plain(moment)
    day = time.replace(hour=0, minute=0, second=0, microsecond=0)
    match grain:
        case "second":
            return time.replace(microsecond=0)
        case "minute":
            return time.replace(second=0, microsecond=0)
        case "hour":
            return time.replace(minute=0, second=0, microsecond=0)
        case "day":
            return day
        case "week":
            return day - dt.timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "quarter":
            return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
        case "year":
            return day.replace(month=1, day=1)
        case _:
            return time


def minus(moment: dt.datetime, window: Window) -> dt.datetime:
    """Calendar arithmetic: Mar 31 minus a month is Feb 29 or 28, a week is 7 days, a quarter 3 months."""
    months = {"month": 1, "quarter": 3, "year": 12}.get(window.unit)
    if months is None:
        return moment - dt.timedelta(**{f"{window.unit}s": window.count})
    year, month = divmod(moment.year * 12 + moment.month - 1 - months * window.count, 12)
    return moment.replace(year=year, month=month + 1, day=min(moment.day, calendar.monthrange(year, month + 1)[1]))


def after(moment: dt.datetime, grain: str) -> dt.datetime:
    """The start of the next period."""
    return minus(truncate(moment, grain), Window(-1, grain))


def date_part(moment: dt.datetime, part: str) -> int:
    """`dow` is ISO's: Monday is 1, Sunday 7."""
    match part:
        case "quarter":
            return (moment.month + 2) // 3
        case "dow":
            return moment.isoweekday()
        case "doy":
            return moment.timetuple().tm_yday
        case _:
            return getattr(moment, part)


def rank(grain: str) -> int:
    return GRAINS.index(grain)
