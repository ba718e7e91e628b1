"""SQL that people write to terms with types. What is not in the table below is refused: it is not held equal in Python.

SQL's own rules hold, but for what differs between engines: `/` is never whole, what has no value is NULL, NaN too.
"""

import datetime as dt
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from sqlglot import exp

from gemel.compiler.question.expressions import Refused, parse_expression
from gemel.engines.duckdb import DIALECT
from gemel.errors import did_you_mean
from gemel.on_demand.operations import PARTS, STEPS, as_float, operation
from gemel.on_demand.terms import NULL, Constant, Operation, Parameter, Reference, Type, Typed

DEPTH = 60
"""How deep an expression may be nested; Python reads brackets up to a hundred levels."""

WORDS = {
    "bigint": "int64",
    "double": "float64",
    "varchar": "string",
    "boolean": "bool",
    "timestamp": "timestamp",
}
"""The types of CAST, and what they are here."""


class Ungrammatical(Refused):
    """What is not of the grammar; `hint` says what is."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class Mistyped(Refused):
    """An operation on values that it does not take."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """An expression of known operations. `names` are what it speaks of: `distance`, `plane_history.seats`."""

    tree: exp.Expr
    names: tuple[str, ...]


def parse(text: str) -> Parsed:
    """Raises Refused, with a message for what is not of the grammar."""
    tree = parse_expression(text)
    names = tuple(dict.fromkeys(_named(tree)))
    if not names:
        raise Ungrammatical("it uses no input and no feature", "it would be the same for every request")
    return Parsed(tree, names)


def typed(parsed: Parsed, types: Mapping[str, Type], dtype: Type | None = None) -> Typed:
    """With each name's type known, the term, which has `dtype` if one is asked for. Raises Mistyped."""
    names = {name: Reference(name, type_) for name, type_ in types.items()}
    found = _Typing(names).term(parsed.tree)
    if found.type == "null":
        raise Mistyped(f"{_shown(parsed.tree)} is always NULL")
    if dtype == "float64" and found.type == "int64":
        return as_float(found)
    if dtype not in (None, found.type):
        word = next(word for word, each in WORDS.items() if each == dtype)
        raise Mistyped(f"it is {found.type}, and `dtype` says {dtype}: write cast(... as {word}), or another dtype")
    return found


def _named(tree: exp.Expr, depth: int = 0) -> Iterator[str]:
    """Each name in the tree, with every node looked at."""
    if depth > DEPTH:
        raise Ungrammatical(f"it is nested more than {DEPTH} levels deep", "make several features of it")
    if isinstance(tree, exp.Column):
        if tree.args.get("db") or not isinstance(tree.this, exp.Identifier):
            raise Ungrammatical(f"{_shown(tree)} is no input, and no view.feature")
        yield f"{tree.table.lower()}.{tree.name.lower()}" if tree.table else tree.name.lower()
        return
    _check(tree)
    deeper = depth + (0 if isinstance(tree, (exp.And, exp.Or, exp.Paren)) else 1)
    for part in tree.iter_expressions():
        if not isinstance(part, (exp.Var, exp.DataType)):
            yield from _named(part, deeper)


def _check(tree: exp.Expr) -> None:
    if isinstance(tree, exp.If) and isinstance(tree.parent, exp.Case):
        return
    told = {name for name, value in tree.args.items() if value is not None and value is not False}
    if type(tree) not in _KINDS or not told <= _ARGUMENTS:
        written = _called(tree)
        what = f"the function {written!r}" if written else _shown(tree)
        hint = did_you_mean(written, FUNCTIONS) if written else None
        hint = hint or f"there are arithmetic, comparisons, and, or, not, in, between, case, {', '.join(FUNCTIONS)}"
        raise Ungrammatical(f"{what} is not of the grammar that is the same in SQL and in Python", hint)


_ARGUMENTS = {
    *("this", "expression", "expressions", "low", "high", "ifs", "true", "false", "default", "to", "decimals", "unit"),
    # What sqlglot notes by itself of the dialect.
    *("is_string", "typed", "safe", "coalesce", "ignore_nulls", "date_part_boundary"),
}
"""What a node may hold. A collation, a format, a second way of trimming and the like would be lost."""


def _called(tree: exp.Expr) -> str | None:
    """The function that is called, if the node is a call."""
    if isinstance(tree, exp.Anonymous):
        return tree.name.lower()
    if isinstance(tree, exp.Func) and not isinstance(tree, (exp.Binary, exp.Cast)):
        return str(tree.sql_names()[0]).lower()
    return None


FUNCTIONS = (
    *("abs", "round", "floor", "ceil", "least", "greatest", "coalesce", "nullif", "cast", "concat", "lower", "upper"),
    *("trim", "length", "extract", "date_diff", "year", "month", "day", "hour", "minute", "second", "dayofweek"),
)


class _Typing:
    def __init__(self, names: Mapping[str, Reference]) -> None:
        self.names = names

    def term(self, tree: exp.Expr) -> Typed:
        if isinstance(tree, exp.Column):
            return self.names[f"{tree.table.lower()}.{tree.name.lower()}" if tree.table else tree.name.lower()]
        return _KINDS[type(tree)](self, tree)

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
            return _integer(int(text))
        number = float(text)
        if not math.isfinite(number):
            raise Mistyped(f"{text} is beyond what a number can be")
        return Constant(number, "float64")

    def boolean(self, tree: exp.Expr) -> Typed:
        return Constant(bool(tree.this), "bool")

    def null(self, tree: exp.Expr) -> Typed:
        return NULL

    def negative(self, tree: exp.Expr) -> Typed:
        if isinstance(tree.this, exp.Literal) and tree.this.name.isdecimal():
            return _integer(-int(tree.this.name))
        value = _number(self.term(tree.this), tree)
        return self._arithmetic("subtract", Constant(0, "int64"), value, tree)

    def add(self, tree: exp.Expr) -> Typed:
        return self._arithmetic("add", self.term(tree.this), self.term(tree.expression), tree)

    def subtract(self, tree: exp.Expr) -> Typed:
        left, right = self.term(tree.this), self.term(tree.expression)
        if "timestamp" in (left.type, right.type):
            raise Mistyped(f"{_shown(tree)} takes a time from a time: write date_diff('minute', earlier, later)")
        return self._arithmetic("subtract", left, right, tree)

    def multiply(self, tree: exp.Expr) -> Typed:
        return self._arithmetic("multiply", self.term(tree.this), self.term(tree.expression), tree)

    def _arithmetic(self, name: str, left: Typed, right: Typed, tree: exp.Expr) -> Typed:
        left, right = _alike([_number(left, tree), _number(right, tree)], tree)
        type_: Type = "float64" if left.type == "float64" else "int64"
        return operation(f"{name} {type_}", *_as([left, right], type_), type=type_)

    def divide(self, tree: exp.Expr) -> Typed:
        sides = [_number(self.term(side), tree) for side in (tree.this, tree.expression)]
        return operation("divide", *_as(sides, "float64"), type="float64")

    def quotient(self, tree: exp.Expr) -> Typed:
        return self._whole("quotient", tree)

    def remainder(self, tree: exp.Expr) -> Typed:
        return self._whole("remainder", tree)

    def _whole(self, name: str, tree: exp.Expr) -> Typed:
        sides = self.terms([tree.this, tree.expression])
        if any(side.type not in ("int64", "null") for side in sides):
            raise Mistyped(f"{_shown(tree)} takes integers: write cast(... as bigint)")
        return operation(name, *_as(sides, "int64"), type="int64")

    def absolute(self, tree: exp.Expr) -> Typed:
        value = _known(_number(self.term(tree.this), tree), "int64")
        return operation(f"absolute {value.type}", value, type=value.type)

    def round(self, tree: exp.Expr) -> Typed:
        value = _known(_number(self.term(tree.this), tree), "int64")
        digits = tree.args.get("decimals") or exp.Literal.number(0)
        if not isinstance(digits, exp.Literal) or not digits.name.isdecimal() or int(digits.name) > 15:
            raise Mistyped(f"{_shown(tree)}: a number is rounded to 0 to 15 digits, written as a number")
        if value.type == "int64":
            return value
        return operation("round", value, Parameter(int(digits.name)), type="float64")

    def floor(self, tree: exp.Expr) -> Typed:
        return self._to_whole("floor", tree)

    def ceiling(self, tree: exp.Expr) -> Typed:
        return self._to_whole("ceiling", tree)

    def _to_whole(self, name: str, tree: exp.Expr) -> Typed:
        if tree.args.get("decimals") or tree.args.get("to"):
            raise Mistyped(f"{_shown(tree)} takes one number")
        value = _known(_number(self.term(tree.this), tree), "int64")
        return value if value.type == "int64" else operation(name, value, type="float64")

    def least(self, tree: exp.Expr) -> Typed:
        return self._extreme("least", tree)

    def greatest(self, tree: exp.Expr) -> Typed:
        return self._extreme("greatest", tree)

    def _extreme(self, name: str, tree: exp.Expr) -> Typed:
        values = _ordered(_alike(self.terms([tree.this, *tree.expressions]), tree), tree)
        return NULL if values[0].type == "null" else operation(name, *values, type=values[0].type)

    def equal(self, tree: exp.Expr) -> Typed:
        return _equal(tree, *self.terms([tree.this, tree.expression]))

    def unequal(self, tree: exp.Expr) -> Typed:
        sides = _settled(_alike(self.terms([tree.this, tree.expression]), tree))
        return operation("unequal", *sides, type="bool")

    def less(self, tree: exp.Expr) -> Typed:
        return _compared("less", tree, *self.terms([tree.this, tree.expression]))

    def at_most(self, tree: exp.Expr) -> Typed:
        return _compared("at_most", tree, *self.terms([tree.this, tree.expression]))

    def greater(self, tree: exp.Expr) -> Typed:
        return _compared("less", tree, *self.terms([tree.expression, tree.this]))

    def at_least(self, tree: exp.Expr) -> Typed:
        return _compared("at_most", tree, *self.terms([tree.expression, tree.this]))

    def between(self, tree: exp.Expr) -> Typed:
        value, low, high = self.terms([tree.this, tree.args["low"], tree.args["high"]])
        sides = (_compared("at_most", tree, low, value), _compared("at_most", tree, value, high))
        return operation("and", *sides, type="bool")

    def isin(self, tree: exp.Expr) -> Typed:
        if not tree.expressions:
            raise Mistyped(f"{_shown(tree)}: write the values one by one")
        value, *others = self.terms([tree.this, *tree.expressions])
        return operation("or", *(_equal(tree, value, other) for other in others), type="bool")

    def conjunction(self, tree: exp.Expr) -> Typed:
        return operation("and", *self._conditions(tree, exp.And), type="bool")

    def disjunction(self, tree: exp.Expr) -> Typed:
        return operation("or", *self._conditions(tree, exp.Or), type="bool")

    def _conditions(self, tree: exp.Expr, kind: type[exp.Connector]) -> list[Typed]:
        return [_condition(self.term(part), part) for part in tree.flatten() if not isinstance(part, kind)]

    def negation(self, tree: exp.Expr) -> Typed:
        return operation("not", _condition(self.term(tree.this), tree), type="bool")

    def same(self, tree: exp.Expr) -> Typed:
        """IS NULL, and IS TRUE or FALSE, which is never NULL itself."""
        value = self.term(tree.this)
        if isinstance(tree.expression, exp.Null):
            return operation("is_null", *_settled([value]), type="bool")
        if not isinstance(tree.expression, exp.Boolean):
            raise Mistyped(f"{_shown(tree)}: a value is compared with =, IS is for null, true and false")
        equal = _equal(tree, _condition(value, tree), Constant(bool(tree.expression.this), "bool"))
        return operation("coalesce", equal, Constant(False, "bool"), type="bool")

    def coalesce(self, tree: exp.Expr) -> Typed:
        values = _alike(self.terms([tree.this, *tree.expressions]), tree)
        return NULL if values[0].type == "null" else operation("coalesce", *values, type=values[0].type)

    def null_if(self, tree: exp.Expr) -> Typed:
        value, other = self.terms([tree.this, tree.expression])
        if value.type == "null":
            raise Mistyped(f"{_shown(tree)} is always NULL")
        # SQL compares them as one type, and gives the first as it was.
        same = _equal(tree, value, other)
        if same.arguments[0] == value:
            return operation("null_if", *same.arguments, type=value.type)
        return operation("case", same, Constant(None, value.type), value, type=value.type)

    def case(self, tree: exp.Expr) -> Typed:
        subject = self.term(tree.this) if tree.this is not None else None
        conditions, values = [], []
        for each in tree.args["ifs"]:
            told = self.term(each.this)
            conditions.append(_condition(told, each.this) if subject is None else _equal(tree, subject, told))
            values.append(self.term(each.args["true"]))
        default = tree.args.get("default")
        return self._case(tree, conditions, [*values, self.term(default) if default is not None else NULL])

    def either(self, tree: exp.Expr) -> Typed:
        """`if(condition, value, other)`"""
        other = tree.args.get("false")
        values = [self.term(tree.args["true"]), self.term(other) if other is not None else NULL]
        return self._case(tree, [_condition(self.term(tree.this), tree)], values)

    def _case(self, tree: exp.Expr, conditions: list[Typed], values: list[Typed]) -> Typed:
        *values, default = _alike(values, tree)
        if default.type == "null":
            raise Mistyped(f"{_shown(tree)} is always NULL")
        parts = [part for pair in zip(conditions, values, strict=True) for part in pair]
        return operation("case", *parts, default, type=default.type)

    def cast(self, tree: exp.Expr) -> Typed:
        written = tree.args["to"].sql(DIALECT).lower()
        word = {"text": "varchar"}.get(written, written)
        if word not in WORDS:
            raise Mistyped(f"{_shown(tree)}: cast takes {', '.join(WORDS)}, not {written}")
        if isinstance(tree.this, exp.Literal) and word == "timestamp":
            return _time(tree.this.name)
        value, wanted = self.term(tree.this), WORDS[word]
        match value.type, wanted:
            case ("null", _):
                return Constant(None, wanted)  # type: ignore[arg-type]
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
                told = "which SQL and Python spell and read in different ways"
                raise Mistyped(f"{_shown(tree)} makes {value.type} into {wanted}, {told}")

    def join(self, tree: exp.Expr) -> Typed:
        return operation("join", *_texts(self.terms([tree.this, tree.expression]), tree), type="string")

    def concat(self, tree: exp.Expr) -> Typed:
        return operation("concat", *_texts(self.terms(tree.expressions), tree), type="string")

    def lower(self, tree: exp.Expr) -> Typed:
        return operation("lower", *_texts([self.term(tree.this)], tree), type="string")

    def upper(self, tree: exp.Expr) -> Typed:
        return operation("upper", *_texts([self.term(tree.this)], tree), type="string")

    def trim(self, tree: exp.Expr) -> Typed:
        if tree.expression:
            raise Mistyped(f"{_shown(tree)}: trim takes the spaces from both ends, as trim(text)")
        return operation("trim", *_texts([self.term(tree.this)], tree), type="string")

    def length(self, tree: exp.Expr) -> Typed:
        return operation("length", *_texts([self.term(tree.this)], tree), type="int64")

    def extract(self, tree: exp.Expr) -> Typed:
        return self._part(tree, tree.this.name.lower(), tree.expression)

    def part(self, tree: exp.Expr) -> Typed:
        return self._part(tree, _PARTS[type(tree)], tree.this)

    def _part(self, tree: exp.Expr, unit: str, of: exp.Expr) -> Typed:
        if unit not in PARTS:
            raise Mistyped(f"{_shown(tree)}: of a time there are {', '.join(PARTS)}, not {unit}")
        return operation("part", _timed(self.term(of), tree), Parameter(PARTS[unit]), type="int64")

    def steps(self, tree: exp.Expr) -> Typed:
        unit = tree.args["unit"].name.lower() if tree.args.get("unit") else "day"
        if unit not in STEPS:
            raise Mistyped(f"{_shown(tree)}: a difference is counted in {', '.join(STEPS)}, not {unit}")
        first, last = (_timed(self.term(side), tree) for side in (tree.expression, tree.this))
        return operation("steps", first, last, Parameter(STEPS[unit]), type="int64")


def _integer(value: int) -> Constant:
    if not -(2**63) <= value < 2**63:
        raise Mistyped(f"{value} is beyond 64 bits")
    return Constant(value, "int64")


def _time(text: str) -> Constant:
    try:
        value = dt.datetime.fromisoformat(text)
    except ValueError:
        raise Mistyped(f"{text!r} is no time: write timestamp '2024-01-31 12:00:00'") from None
    value = value.astimezone(dt.UTC) if value.tzinfo else value.replace(tzinfo=dt.UTC)
    return Constant(value.replace(microsecond=0), "timestamp")


def _number(term: Typed, tree: exp.Expr) -> Typed:
    if term.type not in ("int64", "float64", "null"):
        raise Mistyped(f"{_shown(tree)} computes with {term.type}, and needs numbers")
    return term


def _condition(term: Typed, tree: exp.Expr) -> Typed:
    if term.type not in ("bool", "null"):
        raise Mistyped(f"{_shown(tree)} takes {term.type} for a condition: compare it with something")
    return _known(term, "bool")


def _timed(term: Typed, tree: exp.Expr) -> Typed:
    if term.type not in ("timestamp", "null"):
        raise Mistyped(f"{_shown(tree)} is of a time, not of {term.type}")
    return _known(term, "timestamp")


def _texts(terms: list[Typed], tree: exp.Expr) -> list[Typed]:
    for term in terms:
        if term.type not in ("string", "null"):
            raise Mistyped(f"{_shown(tree)} takes texts, not {term.type}: write cast(... as varchar)")
    return _as(terms, "string")


def _ordered(terms: list[Typed], tree: exp.Expr) -> list[Typed]:
    if terms[0].type == "bool":
        raise Mistyped(f"{_shown(tree)} would order truths")
    return terms


def _compared(name: str, tree: exp.Expr, *sides: Typed) -> Operation:
    return operation(name, *_settled(_ordered(_alike(list(sides), tree), tree)), type="bool")


def _equal(tree: exp.Expr, *sides: Typed) -> Operation:
    return operation("equal", *_settled(_alike(list(sides), tree)), type="bool")


def _alike(terms: list[Typed], tree: exp.Expr) -> list[Typed]:
    """All of one type: a NULL takes that of the others, integers beside fractions become fractions."""
    kinds = {term.type for term in terms} - {"null"}
    if not kinds:
        return terms
    common: Type = "float64" if kinds == {"int64", "float64"} else next(iter(kinds))
    if len(kinds) > 1 and kinds != {"int64", "float64"}:
        raise Mistyped(f"{_shown(tree)} brings {' and '.join(sorted(kinds))} together")
    return _as(terms, common)


def _as(terms: list[Typed], type_: Type) -> list[Typed]:
    return [as_float(t) if type_ == "float64" and t.type == "int64" else _known(t, type_) for t in terms]


def _known(term: Typed, type_: Type) -> Typed:
    return Constant(None, type_) if term.type == "null" else term


def _settled(terms: list[Typed]) -> list[Typed]:
    """NULLs alone are of any type."""
    return [_known(term, "int64") for term in terms]


def _shown(tree: exp.Expr) -> str:
    text = tree.sql(DIALECT)
    return text if len(text) <= 60 else f"{text[:57]}..."


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

_KINDS: Mapping[type[exp.Expr], Callable[[_Typing, exp.Expr], Typed]] = {
    exp.Paren: _Typing.paren,
    exp.Literal: _Typing.literal,
    exp.Boolean: _Typing.boolean,
    exp.Null: _Typing.null,
    exp.Neg: _Typing.negative,
    exp.Add: _Typing.add,
    exp.Sub: _Typing.subtract,
    exp.Mul: _Typing.multiply,
    exp.Div: _Typing.divide,
    exp.IntDiv: _Typing.quotient,
    exp.Mod: _Typing.remainder,
    exp.Abs: _Typing.absolute,
    exp.Round: _Typing.round,
    exp.Floor: _Typing.floor,
    exp.Ceil: _Typing.ceiling,
    exp.Least: _Typing.least,
    exp.Greatest: _Typing.greatest,
    exp.EQ: _Typing.equal,
    exp.NEQ: _Typing.unequal,
    exp.LT: _Typing.less,
    exp.LTE: _Typing.at_most,
    exp.GT: _Typing.greater,
    exp.GTE: _Typing.at_least,
    exp.Between: _Typing.between,
    exp.In: _Typing.isin,
    exp.And: _Typing.conjunction,
    exp.Or: _Typing.disjunction,
    exp.Not: _Typing.negation,
    exp.Is: _Typing.same,
    exp.Coalesce: _Typing.coalesce,
    exp.Nullif: _Typing.null_if,
    exp.Case: _Typing.case,
    exp.If: _Typing.either,
    exp.Cast: _Typing.cast,
    exp.TryCast: _Typing.cast,
    exp.DPipe: _Typing.join,
    exp.Concat: _Typing.concat,
    exp.Lower: _Typing.lower,
    exp.Upper: _Typing.upper,
    exp.Trim: _Typing.trim,
    exp.Length: _Typing.length,
    exp.Extract: _Typing.extract,
    exp.DateDiff: _Typing.steps,
    **dict.fromkeys(_PARTS, _Typing.part),
}
