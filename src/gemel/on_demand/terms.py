"""A typed expression, the common source of its SQL and its Python."""

import datetime as dt
from dataclasses import dataclass
from typing import Literal

Type = Literal["int64", "float64", "string", "bool", "timestamp", "null"]
"""`timestamp` is in UTC, to the second, as in Feast's online store. `null` is NULL until its context types it."""

Value = int | float | str | bool | dt.datetime | None


@dataclass(frozen=True, slots=True)
class Reference:
    """A request's input `distance`, or the feature of a view, `plane_history.miles_flown_28d`."""

    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class Constant:
    value: Value
    type: Type


@dataclass(frozen=True, slots=True)
class Parameter:
    """A constant setting of an operation: the number of digits, the part of a time."""

    value: int | str


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of the table in operations.py, with arguments of the right types."""

    name: str
    arguments: tuple["Term", ...]
    type: Type


Typed = Reference | Constant | Operation
Term = Typed | Parameter

NULL = Constant(None, "null")


def walk(term: Term) -> list[Term]:
    """The term and all terms in it, each before its parts."""
    terms, waiting = [], [term]
    while waiting:
        terms.append(waiting.pop())
        if isinstance(terms[-1], Operation):
            waiting.extend(reversed(terms[-1].arguments))
    return terms
