"""From the SQL of a user to typed terms. Operations outside the table below are refused: Python has no tested equal.

SQL's own rules hold, except where engines differ: `/` is never integer division, and a missing value or NaN is NULL.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlglot import exp

from gemel.compiler.question.expressions import Refused, parse_expression
from gemel.errors import did_you_mean
from gemel.on_demand.coercion import Mistyped, short_sql
from gemel.on_demand.operations import as_float
from gemel.on_demand.terms import Reference, Type, Typed
from gemel.on_demand.typing import KINDS, WORDS, Typing

DEPTH = 60
"""The maximum depth of an expression; Python parses brackets up to a hundred levels."""


class Ungrammatical(Refused):
    """An expression outside the grammar; `hint` says what the grammar has."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Parsed:
    """An expression in the grammar. `names` are the names it uses: `distance`, `plane_history.seats`."""

    tree: exp.Expr
    names: tuple[str, ...]


def parse(text: str) -> Parsed:
    """Raises Refused for text outside the grammar."""
    tree = parse_expression(text)
    names = tuple(dict.fromkeys(_named(tree)))
    if not names:
        raise Ungrammatical("it uses no input and no feature", "it would be the same for every request")
    return Parsed(tree, names)


def type_expression(parsed: Parsed, types: Mapping[str, Type], dtype: Type | None = None) -> Typed:
    """The typed term of an expression, converted to `dtype` if given. Raises Mistyped."""
    names = {name: Reference(name, type_) for name, type_ in types.items()}
    term = Typing(names).term(parsed.tree)
    if term.type == "null":
        raise Mistyped(f"{short_sql(parsed.tree)} is always NULL")
    if dtype == "float64" and term.type == "int64":
        return as_float(term)
    if dtype not in (None, term.type):
        word = next(word for word, each in WORDS.items() if each == dtype)
        raise Mistyped(f"it is {term.type}, and `dtype` says {dtype}: write cast(... as {word}), or another dtype")
    return term


def _named(tree: exp.Expr, depth: int = 0) -> Iterator[str]:
    """Yield each name in the tree, and check every node."""
    if depth > DEPTH:
        raise Ungrammatical(f"it is nested more than {DEPTH} levels deep", "split it into several features")
    if isinstance(tree, exp.Column):
        if tree.args.get("db") or not isinstance(tree.this, exp.Identifier):
            raise Ungrammatical(f"{short_sql(tree)} is neither an input nor a view.feature")
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
    arguments = {name for name, value in tree.args.items() if value is not None and value is not False}
    if type(tree) not in KINDS or not arguments <= _ARGUMENTS:
        written = _called(tree)
        what = f"the function {written!r}" if written else short_sql(tree)
        hint = did_you_mean(written, FUNCTIONS) if written else None
        hint = hint or f"there are arithmetic, comparisons, and, or, not, in, between, case, {', '.join(FUNCTIONS)}"
        raise Ungrammatical(f"{what} is not in the grammar, which means the same in SQL and in Python", hint)


_ARGUMENTS = {
    *("this", "expression", "expressions", "low", "high", "ifs", "true", "false", "default", "to", "decimals", "unit"),
    # Set by sqlglot itself for the dialect.
    *("is_string", "typed", "safe", "coalesce", "ignore_nulls", "date_part_boundary"),
}
"""The arguments that a node may have. Others, such as a collation or a format, would be lost."""


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
