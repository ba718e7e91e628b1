"""The types of an expression: from a parsed tree to a typed term, node by node."""

import math
from collections.abc import Callable, Mapping

from sqlglot import exp

from gemel.engines.duckdb import DIALECT
from gemel.on_demand.coercion import (
    Mistyped,
    coerce,
    compare,
    equate,
    integer_constant,
    require_condition,
    require_number,
    require_order,
    require_texts,
    require_time,
    settle,
    settle_null,
    short_sql,
    time_constant,
    unify,
)
from gemel.on_demand.operations import PARTS, STEPS, as_float, operation
from gemel.on_demand.terms import NULL, Constant, Parameter, Reference, Type, Typed

WORDS: dict[str, Type] = {
    "bigint": "int64",
    "double": "float64",
    "varchar": "string",
    "boolean": "bool",
    "timestamp": "timestamp",
}
"""The type names of CAST and their types."""


class Typing:
    """Turns each node into its term. `names` are the references by name."""

    def __init__(self, names: Mapping[str, Reference]) -> None:
        self.names = names

    def term(self, tree: exp.Expr) -> Typed:
        if isinstance(tree, exp.Column):
            return self.names[f"{tree.table.lower()}.{tree.name.lower()}" if tree.table else tree.name.lower()]
        return KINDS[type(tree)](self, tree)

    def terms(self, trees: list[exp.Expr]) -> list[Typed]:
        return [self.term(tree) for tree in trees]

    # Each method below is one kind of node, in the order of the table at the end.

    def paren(self, tree: exp.Expr) -> Typed:
        return self.term(tree.this)

    def literal(self, tree: exp.Expr) -> Typed:
        text = tree.name
        if tree.args["is_string"]:
            return Constant(text, "string")
        if text.isdecimal():
            return integer_constant(int(text))
        number = float(text)
        if not math.isfinite(number):
            raise Mistyped(f"{text} is too large for a number")
        return Constant(number, "float64")

    def boolean(self, tree: exp.Expr) -> Typed:
        return Constant(bool(tree.this), "bool")

    def null(self, tree: exp.Expr) -> Typed:
        return NULL

    def negative(self, tree: exp.Expr) -> Typed:
        if isinstance(tree.this, exp.Literal) and tree.this.name.isdecimal():
            return integer_constant(-int(tree.this.name))
        value = require_number(self.term(tree.this), tree)
        return self._arithmetic("subtract", Constant(0, "int64"), value, tree)

    def add(self, tree: exp.Expr) -> Typed:
        return self._arithmetic("add", self.term(tree.this), self.term(tree.expression), tree)

    def subtract(self, tree: exp.Expr) -> Typed:
        left, right = self.term(tree.this), self.term(tree.expression)
        if "timestamp" in (left.type, right.type):
            raise Mistyped(f"{short_sql(tree)} subtracts a time from a time: write date_diff('minute', earlier, later)")
        return self._arithmetic("subtract", left, right, tree)

    def multiply(self, tree: exp.Expr) -> Typed:
        return self._arithmetic("multiply", self.term(tree.this), self.term(tree.expression), tree)

    def _arithmetic(self, name: str, left: Typed, right: Typed, tree: exp.Expr) -> Typed:
        left, right = unify([require_number(left, tree), require_number(right, tree)], tree)
        type_: Type = "float64" if left.type == "float64" else "int64"
        return operation(f"{name} {type_}", *coerce([left, right], type_), type=type_)

    def divide(self, tree: exp.Expr) -> Typed:
        sides = [require_number(self.term(side), tree) for side in (tree.this, tree.expression)]
        return operation("divide", *coerce(sides, "float64"), type="float64")

    def quotient(self, tree: exp.Expr) -> Typed:
        return self._whole("quotient", tree)

    def remainder(self, tree: exp.Expr) -> Typed:
        return self._whole("remainder", tree)

    def _whole(self, name: str, tree: exp.Expr) -> Typed:
        sides = self.terms([tree.this, tree.expression])
        if any(side.type not in ("int64", "null") for side in sides):
            raise Mistyped(f"{short_sql(tree)} needs integers: write cast(... as bigint)")
        return operation(name, *coerce(sides, "int64"), type="int64")

    def absolute(self, tree: exp.Expr) -> Typed:
        value = settle_null(require_number(self.term(tree.this), tree), "int64")
        return operation(f"absolute {value.type}", value, type=value.type)

    def round(self, tree: exp.Expr) -> Typed:
        value = settle_null(require_number(self.term(tree.this), tree), "int64")
        digits = tree.args.get("decimals") or exp.Literal.number(0)
        if not isinstance(digits, exp.Literal) or not digits.name.isdecimal() or int(digits.name) > 15:
            raise Mistyped(f"{short_sql(tree)}: the digits must be a number from 0 to 15")
        if value.type == "int64":
            return value
        return operation("round", value, Parameter(int(digits.name)), type="float64")

    def floor(self, tree: exp.Expr) -> Typed:
        return self._to_whole("floor", tree)

    def ceiling(self, tree: exp.Expr) -> Typed:
        return self._to_whole("ceiling", tree)

    def _to_whole(self, name: str, tree: exp.Expr) -> Typed:
        if tree.args.get("decimals") or tree.args.get("to"):
            raise Mistyped(f"{short_sql(tree)} takes one number")
        value = settle_null(require_number(self.term(tree.this), tree), "int64")
        return value if value.type == "int64" else operation(name, value, type="float64")

    def least(self, tree: exp.Expr) -> Typed:
        return self._extreme("least", tree)

    def greatest(self, tree: exp.Expr) -> Typed:
        return self._extreme("greatest", tree)

    def _extreme(self, name: str, tree: exp.Expr) -> Typed:
        values = require_order(unify(self.terms([tree.this, *tree.expressions]), tree), tree)
        return NULL if values[0].type == "null" else operation(name, *values, type=values[0].type)

    def equal(self, tree: exp.Expr) -> Typed:
        return equate(tree, *self.terms([tree.this, tree.expression]))

    def unequal(self, tree: exp.Expr) -> Typed:
        sides = settle(unify(self.terms([tree.this, tree.expression]), tree))
        return operation("unequal", *sides, type="bool")

    def less(self, tree: exp.Expr) -> Typed:
        return compare("less", tree, *self.terms([tree.this, tree.expression]))

    def at_most(self, tree: exp.Expr) -> Typed:
        return compare("at_most", tree, *self.terms([tree.this, tree.expression]))

    def greater(self, tree: exp.Expr) -> Typed:
        return compare("less", tree, *self.terms([tree.expression, tree.this]))

    def at_least(self, tree: exp.Expr) -> Typed:
        return compare("at_most", tree, *self.terms([tree.expression, tree.this]))

    def between(self, tree: exp.Expr) -> Typed:
        value, low, high = self.terms([tree.this, tree.args["low"], tree.args["high"]])
        sides = (compare("at_most", tree, low, value), compare("at_most", tree, value, high))
        return operation("and", *sides, type="bool")

    def isin(self, tree: exp.Expr) -> Typed:
        if not tree.expressions:
            raise Mistyped(f"{short_sql(tree)}: list the values")
        value, *others = self.terms([tree.this, *tree.expressions])
        return operation("or", *(equate(tree, value, other) for other in others), type="bool")

    def conjunction(self, tree: exp.Expr) -> Typed:
        return operation("and", *self._conditions(tree, exp.And), type="bool")

    def disjunction(self, tree: exp.Expr) -> Typed:
        return operation("or", *self._conditions(tree, exp.Or), type="bool")

    def _conditions(self, tree: exp.Expr, kind: type[exp.Connector]) -> list[Typed]:
        return [require_condition(self.term(part), part) for part in tree.flatten() if not isinstance(part, kind)]

    def negation(self, tree: exp.Expr) -> Typed:
        return operation("not", require_condition(self.term(tree.this), tree), type="bool")

    def same(self, tree: exp.Expr) -> Typed:
        """IS NULL, and IS TRUE or FALSE, which is never NULL itself."""
        value = self.term(tree.this)
        if isinstance(tree.expression, exp.Null):
            return operation("is_null", *settle([value]), type="bool")
        if not isinstance(tree.expression, exp.Boolean):
            raise Mistyped(f"{short_sql(tree)}: IS is only for null, true and false; compare values with =")
        equal = equate(tree, require_condition(value, tree), Constant(bool(tree.expression.this), "bool"))
        return operation("coalesce", equal, Constant(False, "bool"), type="bool")

    def coalesce(self, tree: exp.Expr) -> Typed:
        values = unify(self.terms([tree.this, *tree.expressions]), tree)
        return NULL if values[0].type == "null" else operation("coalesce", *values, type=values[0].type)

    def null_if(self, tree: exp.Expr) -> Typed:
        value, other = self.terms([tree.this, tree.expression])
        if value.type == "null":
            raise Mistyped(f"{short_sql(tree)} is always NULL")
        # SQL compares them as one type, and gives the first as it was.
        same = equate(tree, value, other)
        if same.arguments[0] == value:
            return operation("null_if", *same.arguments, type=value.type)
        return operation("case", same, Constant(None, value.type), value, type=value.type)

    def case(self, tree: exp.Expr) -> Typed:
        subject = self.term(tree.this) if tree.this is not None else None
        conditions, values = [], []
        for each in tree.args["ifs"]:
            when = self.term(each.this)
            conditions.append(require_condition(when, each.this) if subject is None else equate(tree, subject, when))
            values.append(self.term(each.args["true"]))
        default = tree.args.get("default")
        return self._case(tree, conditions, [*values, self.term(default) if default is not None else NULL])

    def either(self, tree: exp.Expr) -> Typed:
        """`if(condition, value, other)`"""
        other = tree.args.get("false")
        values = [self.term(tree.args["true"]), self.term(other) if other is not None else NULL]
        return self._case(tree, [require_condition(self.term(tree.this), tree)], values)

    def _case(self, tree: exp.Expr, conditions: list[Typed], values: list[Typed]) -> Typed:
        *values, default = unify(values, tree)
        if default.type == "null":
            raise Mistyped(f"{short_sql(tree)} is always NULL")
        parts = [part for pair in zip(conditions, values, strict=True) for part in pair]
        return operation("case", *parts, default, type=default.type)

    def cast(self, tree: exp.Expr) -> Typed:
        written = tree.args["to"].sql(DIALECT).lower()
        word = {"text": "varchar"}.get(written, written)
        if word not in WORDS:
            raise Mistyped(f"{short_sql(tree)}: cast takes {', '.join(WORDS)}, not {written}")
        if isinstance(tree.this, exp.Literal) and word == "timestamp":
            return time_constant(tree.this.name)
        value, wanted = self.term(tree.this), WORDS[word]
        match value.type, wanted:
            case ("null", _):
                return Constant(None, wanted)
            case (same, other) if same == other:
                return value
            case ("int64" | "bool", "float64"):
                return as_float(value)
            case ("float64" | "bool", "int64"):
                if value.type == "bool":
                    value = as_float(value)
                return operation("integer", value, type="int64")
            case ("int64" | "bool", "string"):
                return operation("text", value, type="string")
            case _:
                reason = "SQL and Python convert it in different ways"
                raise Mistyped(f"{short_sql(tree)} cannot convert {value.type} to {wanted}: {reason}")

    def join(self, tree: exp.Expr) -> Typed:
        return operation("join", *require_texts(self.terms([tree.this, tree.expression]), tree), type="string")

    def concat(self, tree: exp.Expr) -> Typed:
        return operation("concat", *require_texts(self.terms(tree.expressions), tree), type="string")

    def lower(self, tree: exp.Expr) -> Typed:
        return operation("lower", *require_texts([self.term(tree.this)], tree), type="string")

    def upper(self, tree: exp.Expr) -> Typed:
        return operation("upper", *require_texts([self.term(tree.this)], tree), type="string")

    def trim(self, tree: exp.Expr) -> Typed:
        if tree.expression:
            raise Mistyped(f"{short_sql(tree)}: only trim(text) is supported, which removes spaces from both ends")
        return operation("trim", *require_texts([self.term(tree.this)], tree), type="string")

    def length(self, tree: exp.Expr) -> Typed:
        return operation("length", *require_texts([self.term(tree.this)], tree), type="int64")

    def extract(self, tree: exp.Expr) -> Typed:
        return self._part(tree, tree.this.name.lower(), tree.expression)

    def part(self, tree: exp.Expr) -> Typed:
        return self._part(tree, _PARTS[type(tree)], tree.this)

    def _part(self, tree: exp.Expr, unit: str, of: exp.Expr) -> Typed:
        if unit not in PARTS:
            raise Mistyped(f"{short_sql(tree)}: the part of a time must be one of {', '.join(PARTS)}, not {unit}")
        return operation("part", require_time(self.term(of), tree), Parameter(PARTS[unit]), type="int64")

    def steps(self, tree: exp.Expr) -> Typed:
        unit = tree.args["unit"].name.lower() if tree.args.get("unit") else "day"
        if unit not in STEPS:
            raise Mistyped(f"{short_sql(tree)}: the unit must be one of {', '.join(STEPS)}, not {unit}")
        first, last = (require_time(self.term(side), tree) for side in (tree.expression, tree.this))
        return operation("steps", first, last, Parameter(STEPS[unit]), type="int64")


_PARTS: Mapping[type[exp.Expr], str] = {
    exp.Year: "year",
    exp.Quarter: "quarter",
    exp.Month: "month",
    exp.Week: "week",
    exp.WeekOfYear: "week",
    exp.Day: "day",
    exp.DayOfMonth: "day",
    exp.Hour: "hour",
    exp.Minute: "minute",
    exp.Second: "second",
    exp.DayOfWeek: "dayofweek",
    exp.DayOfWeekIso: "isodow",
    exp.DayOfYear: "dayofyear",
}

KINDS: Mapping[type[exp.Expr], Callable[[Typing, exp.Expr], Typed]] = {
    exp.Paren: Typing.paren,
    exp.Literal: Typing.literal,
    exp.Boolean: Typing.boolean,
    exp.Null: Typing.null,
    exp.Neg: Typing.negative,
    exp.Add: Typing.add,
    exp.Sub: Typing.subtract,
    exp.Mul: Typing.multiply,
    exp.Div: Typing.divide,
    exp.IntDiv: Typing.quotient,
    exp.Mod: Typing.remainder,
    exp.Abs: Typing.absolute,
    exp.Round: Typing.round,
    exp.Floor: Typing.floor,
    exp.Ceil: Typing.ceiling,
    exp.Least: Typing.least,
    exp.Greatest: Typing.greatest,
    exp.EQ: Typing.equal,
    exp.NEQ: Typing.unequal,
    exp.LT: Typing.less,
    exp.LTE: Typing.at_most,
    exp.GT: Typing.greater,
    exp.GTE: Typing.at_least,
    exp.Between: Typing.between,
    exp.In: Typing.isin,
    exp.And: Typing.conjunction,
    exp.Or: Typing.disjunction,
    exp.Not: Typing.negation,
    exp.Is: Typing.same,
    exp.Coalesce: Typing.coalesce,
    exp.Nullif: Typing.null_if,
    exp.Case: Typing.case,
    exp.If: Typing.either,
    exp.Cast: Typing.cast,
    exp.TryCast: Typing.cast,
    exp.DPipe: Typing.join,
    exp.Concat: Typing.concat,
    exp.Lower: Typing.lower,
    exp.Upper: Typing.upper,
    exp.Trim: Typing.trim,
    exp.Length: Typing.length,
    exp.Extract: Typing.extract,
    exp.DateDiff: Typing.steps,
    **dict.fromkeys(_PARTS, Typing.part),
}
