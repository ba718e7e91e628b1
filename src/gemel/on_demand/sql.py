"""A term as SQL."""

import datetime as dt
from collections.abc import Callable
from typing import assert_never

from sqlglot import exp

from gemel.engines.duckdb import DIALECT
from gemel.on_demand.operations import OPERATIONS, SQL_TYPES, no_nan
from gemel.on_demand.terms import Constant, Operation, Parameter, Reference, Term, Type


def sql_of(term: Term, take: Callable[[Reference], exp.Expr]) -> exp.Expr:
    """The SQL of a term; `take` returns the SQL of a reference."""
    match term:
        case Reference():
            return take(term)
        case Constant(value=value, type=type_):
            return _constant(value, type_)
        case Parameter(value=value):
            return exp.Literal.number(value) if isinstance(value, int) else exp.Literal.string(value)
        case Operation(name=name, arguments=arguments):
            return OPERATIONS[name].sql(*(sql_of(argument, take) for argument in arguments))
        case _:
            assert_never(term)


def normalize(value: exp.Expr, type_: Type) -> exp.Expr:
    """A column as the expressions need it: of its declared type, without NaN, times to the second."""
    typed = exp.cast(value, SQL_TYPES[type_], dialect=DIALECT)
    match type_:
        case "float64":
            return no_nan(typed)
        case "timestamp":
            return exp.Anonymous(this="DATE_TRUNC", expressions=[exp.Literal.string("second"), typed])
        case _:
            return typed


def _constant(value: object, type_: Type) -> exp.Expr:
    match value:
        case None:
            return exp.cast(exp.null(), SQL_TYPES[type_], dialect=DIALECT)
        case bool():
            return exp.true() if value else exp.false()
        case dt.datetime():
            text = exp.Literal.string(value.strftime("%Y-%m-%d %H:%M:%S"))
            return exp.cast(text, "TIMESTAMP", dialect=DIALECT)
        case int() | float():
            # Cast from a text: a number would be a DECIMAL first.
            return exp.cast(exp.Literal.string(repr(value)), SQL_TYPES[type_], dialect=DIALECT)
        case _:
            return exp.Literal.string(str(value))
