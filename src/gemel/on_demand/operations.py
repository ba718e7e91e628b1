"""Every operation of the grammar, once: its function in Python (runtime.py) and its SQL.

Both are total: where DuckDB would fail the whole query because of one row, the SQL gives NULL.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlglot import exp

from gemel.engines.duckdb import DIALECT
from gemel.on_demand.terms import Constant, Operation, Term, Type, Typed

Build = Callable[..., exp.Expr]

SQL_TYPES: Mapping[str, str] = {
    "int64": "BIGINT",
    "float64": "DOUBLE",
    "string": "VARCHAR",
    "bool": "BOOLEAN",
    "timestamp": "TIMESTAMP",
}
PARTS = {
    **{"year": "year", "quarter": "quarter", "month": "month", "week": "week", "day": "day", "hour": "hour"},
    **{"minute": "minute", "second": "second", "dayofweek": "dayofweek", "dow": "dayofweek", "isodow": "isodow"},
    **{"dayofyear": "dayofyear", "doy": "dayofyear"},
}
"""The parts of a time that EXTRACT takes, with their canonical names."""

STEPS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
"""The units of DATE_DIFF, in seconds."""


@dataclass(frozen=True, slots=True)
class Spelling:
    """`python` is a function in runtime.py; `sql` builds the tree from the arguments' trees."""

    python: str
    sql: Build


def _cast(value: exp.Expr, type_: str) -> exp.Expr:
    return exp.Cast(this=value, to=exp.DataType.build(type_, dialect=DIALECT))


def _try_cast(value: exp.Expr, type_: str) -> exp.Expr:
    return exp.TryCast(this=value, to=exp.DataType.build(type_, dialect=DIALECT))


def _huge(value: exp.Expr) -> exp.Expr:
    return _cast(value, "HUGEINT")


def _nonzero(value: exp.Expr) -> exp.Expr:
    return exp.Nullif(this=value, expression=exp.Literal.number(0))


def no_nan(value: exp.Expr) -> exp.Expr:
    return exp.Nullif(this=value, expression=_cast(exp.Literal.string("nan"), "DOUBLE"))


def _integers(kind: type[exp.Binary]) -> Build:
    """In twice the bits, where nothing overflows; what does not fit back is NULL."""
    return lambda left, right: _try_cast(kind(this=_huge(left), expression=_huge(right)), "BIGINT")


def _fractions(kind: type[exp.Binary]) -> Build:
    return lambda left, right: no_nan(kind(this=left, expression=right))


def _binary(kind: type[exp.Binary]) -> Build:
    return lambda left, right: exp.Paren(this=kind(this=left, expression=right))


def _function(name: str) -> Build:
    return lambda *arguments: exp.Anonymous(this=name, expressions=list(arguments))


def _chain(kind: type[exp.Binary]) -> Build:
    def build(*conditions: exp.Expr) -> exp.Expr:
        tree = conditions[0]
        for condition in conditions[1:]:
            tree = kind(this=tree, expression=condition)
        return exp.Paren(this=tree)

    return build


def _case(*parts: exp.Expr) -> exp.Expr:
    ifs = [exp.If(this=parts[n], true=parts[n + 1]) for n in range(0, len(parts) - 1, 2)]
    return exp.Case(ifs=ifs, default=parts[-1])


def _divide(left: exp.Expr, right: exp.Expr) -> exp.Expr:
    return no_nan(exp.Div(this=left, expression=_nonzero(right), typed=False, safe=False))


def _quotient(kind: type[exp.Binary]) -> Build:
    return lambda left, right: _try_cast(kind(this=_huge(left), expression=_nonzero(_huge(right))), "BIGINT")


def _trim(value: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this="TRIM", expressions=[value, exp.Literal.string(" ")])


def _part(value: exp.Expr, unit: exp.Expr) -> exp.Expr:
    # Of a NULL that stands there as such DuckDB gives a DOUBLE, which would make fractions of what is beside it.
    return _cast(exp.Anonymous(this="DATE_PART", expressions=[unit, value]), "BIGINT")


def _steps(first: exp.Expr, last: exp.Expr, seconds: exp.Expr) -> exp.Expr:
    unit = next(name for name, length in STEPS.items() if str(length) == seconds.name)
    return exp.Anonymous(this="DATE_DIFF", expressions=[exp.Literal.string(unit), first, last])


OPERATIONS: Mapping[str, Spelling] = {
    "add int64": Spelling("add", _integers(exp.Add)),
    "add float64": Spelling("add", _fractions(exp.Add)),
    "subtract int64": Spelling("subtract", _integers(exp.Sub)),
    "subtract float64": Spelling("subtract", _fractions(exp.Sub)),
    "multiply int64": Spelling("multiply", _integers(exp.Mul)),
    "multiply float64": Spelling("multiply", _fractions(exp.Mul)),
    "divide": Spelling("divide", _divide),
    "quotient": Spelling("quotient", _quotient(exp.IntDiv)),
    "remainder": Spelling("remainder", _quotient(exp.Mod)),
    "absolute int64": Spelling("absolute", lambda value: _try_cast(_function("ABS")(_huge(value)), "BIGINT")),
    "absolute float64": Spelling("absolute", _function("ABS")),
    "round": Spelling("rounded", _function("ROUND")),
    "floor": Spelling("floor", _function("FLOOR")),
    "ceiling": Spelling("ceiling", _function("CEIL")),
    "least": Spelling("least", _function("LEAST")),
    "greatest": Spelling("greatest", _function("GREATEST")),
    "equal": Spelling("equal", _binary(exp.EQ)),
    "unequal": Spelling("unequal", _binary(exp.NEQ)),
    "less": Spelling("less", _binary(exp.LT)),
    "at_most": Spelling("at_most", _binary(exp.LTE)),
    "and": Spelling("both", _chain(exp.And)),
    "or": Spelling("either", _chain(exp.Or)),
    "not": Spelling("opposite", lambda value: exp.Paren(this=exp.Not(this=value))),
    "is_null": Spelling("is_null", lambda value: exp.Paren(this=exp.Is(this=value, expression=exp.null()))),
    "coalesce": Spelling("coalesce", _function("COALESCE")),
    "null_if": Spelling("null_if", lambda value, other: exp.Nullif(this=value, expression=other)),
    "case": Spelling("case", _case),
    "join": Spelling("joined", _binary(exp.DPipe)),
    "concat": Spelling("concatenated", _function("CONCAT")),
    "lower": Spelling("lower", _function("LOWER")),
    "upper": Spelling("upper", _function("UPPER")),
    "trim": Spelling("trimmed", _trim),
    "length": Spelling("length", _function("LENGTH")),
    "float": Spelling("real", lambda value: _cast(value, "DOUBLE")),
    "integer": Spelling("as_integer", lambda value: _try_cast(value, "BIGINT")),
    "text": Spelling("as_text", lambda value: _cast(value, "VARCHAR")),
    "part": Spelling("part", _part),
    "steps": Spelling("steps_between", _steps),
}


def operation(name: str, *arguments: Term, type: Type) -> Operation:
    assert name in OPERATIONS
    return Operation(name, arguments, type)


def as_float(term: Typed) -> Typed:
    if isinstance(term, Constant):
        return Constant(None if term.value is None else float(term.value), "float64")  # type: ignore[arg-type]  # no time
    return operation("float", term, type="float64")
