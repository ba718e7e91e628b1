"""The types of an operation's arguments: which are allowed, and how they become the same type."""

import datetime as dt

from sqlglot import exp

from gemel.compiler.question.expressions import Refused
from gemel.engines.duckdb import DIALECT
from gemel.on_demand.operations import as_float, operation
from gemel.on_demand.terms import Constant, Operation, Type, Typed


class Mistyped(Refused):
    """An operation on values of the wrong type."""


def integer_constant(value: int) -> Constant:
    if not -(2**63) <= value < 2**63:
        raise Mistyped(f"{value} is beyond 64 bits")
    return Constant(value, "int64")


def time_constant(text: str) -> Constant:
    try:
        value = dt.datetime.fromisoformat(text)
    except ValueError:
        raise Mistyped(f"{text!r} is not a time: write timestamp '2024-01-31 12:00:00'") from None
    value = value.astimezone(dt.UTC) if value.tzinfo else value.replace(tzinfo=dt.UTC)
    return Constant(value.replace(microsecond=0), "timestamp")


def require_number(term: Typed, tree: exp.Expr) -> Typed:
    if term.type not in ("int64", "float64", "null"):
        raise Mistyped(f"{short_sql(tree)} needs numbers, not {term.type}")
    return term


def require_condition(term: Typed, tree: exp.Expr) -> Typed:
    if term.type not in ("bool", "null"):
        raise Mistyped(f"{short_sql(tree)} needs a condition, not {term.type}: compare it with something")
    return settle_null(term, "bool")


def require_time(term: Typed, tree: exp.Expr) -> Typed:
    if term.type not in ("timestamp", "null"):
        raise Mistyped(f"{short_sql(tree)} needs a time, not {term.type}")
    return settle_null(term, "timestamp")


def require_texts(terms: list[Typed], tree: exp.Expr) -> list[Typed]:
    for term in terms:
        if term.type not in ("string", "null"):
            raise Mistyped(f"{short_sql(tree)} needs texts, not {term.type}: write cast(... as varchar)")
    return coerce(terms, "string")


def require_order(terms: list[Typed], tree: exp.Expr) -> list[Typed]:
    if terms[0].type == "bool":
        raise Mistyped(f"{short_sql(tree)} cannot order booleans")
    return terms


def compare(name: str, tree: exp.Expr, *sides: Typed) -> Operation:
    return operation(name, *settle(require_order(unify(list(sides), tree), tree)), type="bool")


def equate(tree: exp.Expr, *sides: Typed) -> Operation:
    return operation("equal", *settle(unify(list(sides), tree)), type="bool")


def unify(terms: list[Typed], tree: exp.Expr) -> list[Typed]:
    """Give all terms one type: NULLs take the type of the others, and integers beside fractions become fractions."""
    kinds = {term.type for term in terms} - {"null"}
    if not kinds:
        return terms
    common: Type = "float64" if kinds == {"int64", "float64"} else next(iter(kinds))
    if len(kinds) > 1 and kinds != {"int64", "float64"}:
        raise Mistyped(f"{short_sql(tree)} mixes {' and '.join(sorted(kinds))}")
    return coerce(terms, common)


def coerce(terms: list[Typed], type_: Type) -> list[Typed]:
    return [as_float(t) if type_ == "float64" and t.type == "int64" else settle_null(t, type_) for t in terms]


def settle_null(term: Typed, type_: Type) -> Typed:
    return Constant(None, type_) if term.type == "null" else term


def settle(terms: list[Typed]) -> list[Typed]:
    """Give NULLs without other terms a type; any type will do."""
    return [settle_null(term, "int64") for term in terms]


def short_sql(tree: exp.Expr) -> str:
    text = tree.sql(DIALECT)
    return text if len(text) <= 60 else f"{text[:57]}..."
