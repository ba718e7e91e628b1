"""An expression whose types are known. SQL and Python are both written from this, so that they mean the same."""

import datetime as dt
from dataclasses import dataclass
from typing import Literal

Type = Literal["int64", "float64", "string", "bool", "timestamp", "null"]
"""`timestamp` is in UTC, to the second, as Feast has it online. `null` is of NULL alone, until its place tells."""

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
    """What an operation is told besides its arguments: how many digits, which part of a time."""

    value: int | str


@dataclass(frozen=True, slots=True)
class Operation:
    """One of the table in operations.py, over arguments of the types that it takes."""

    name: str
    arguments: tuple["Term", ...]
    type: Type


Typed = Reference | Constant | Operation
Term = Typed | Parameter

NULL = Constant(None, "null")


def walk(term: Term) -> list[Term]:
    """The term and all in it, each before its parts."""
    found, waiting = [], [term]
    while waiting:
        found.append(waiting.pop())
        if isinstance(found[-1], Operation):
            waiting.extend(reversed(found[-1].arguments))
    return found
