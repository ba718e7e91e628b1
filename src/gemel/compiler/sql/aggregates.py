"""Summaries as SQL, and simplifications of expressions that contain them."""

from typing import assert_never

from sqlglot import exp

from gemel.compiler.plan.algebra import Summary
from gemel.compiler.question.expressions import as_number, copied, parenthesized, present


def aggregate(summary: Summary, *, grouped: bool) -> exp.Expr:
    """A summary as SQL. `grouped` means that each group has at least one row before `where` applies."""
    value, where = summary.value, summary.where
    always_rows = grouped and where is None
    match summary.function:
        case "count":
            constant = isinstance(value, exp.Literal)
            if always_rows or constant:
                counted: exp.Expr = exp.Count(this=exp.Star() if constant else value, big_int=True)
                counted = _add_filter(counted, where)
                # A count of no rows is NULL, as a sum is.
                return counted if always_rows else exp.Nullif(this=counted, expression=exp.Literal.number(0))
            return _add_filter(exp.Sum(this=_flag(parenthesized(value))), where)
        case "count_distinct":
            distinct = _add_filter(exp.Count(this=exp.Distinct(expressions=[value]), big_int=True), where)
            if where is None or not grouped:
                return distinct
            some = exp.GT(
                this=_add_filter(exp.Count(this=exp.Star(), big_int=True), where), expression=exp.Literal.number(0)
            )
            return exp.case().when(some, distinct)
        case "sum" | "min" | "max" | "average":
            return _add_filter(_OF_ONE_VALUE[summary.function](this=value), where)
        case "percentile":
            return _add_filter(_percentile(summary), where)
        case _:
            assert_never(summary.function)


_OF_ONE_VALUE = {"sum": exp.Sum, "min": exp.Min, "max": exp.Max, "average": exp.Avg}
"""The aggregates of one value that are NULL for no rows."""


def _percentile(summary: Summary) -> exp.Expr:
    assert summary.percentile is not None
    fraction = exp.Literal.number(str(summary.percentile.fraction))
    if summary.percentile.approximate:
        return exp.ApproxQuantile(this=summary.value, quantile=fraction)
    kind = exp.PercentileDisc if summary.percentile.discrete else exp.PercentileCont
    return kind(this=summary.value, expression=fraction)


def _flag(value: exp.Expr) -> exp.Case:
    """1 where there is a value, else 0."""
    return as_number(present(value.copy()))


def _add_filter(function: exp.Expr, where: exp.Expr | None) -> exp.Expr:
    return function if where is None else exp.Filter(this=function, expression=exp.Where(this=copied(where)))


def simplify(tree: exp.Expr) -> exp.Expr:
    """Simplify a tree in place: counts make some functions around them needless."""
    if tree.find(exp.Coalesce, exp.Nullif) is None:
        return tree
    return tree.transform(
        lambda node: _simpler(node) if isinstance(node, exp.Coalesce | exp.Nullif) else node, copy=False
    )


def _simpler(node: exp.Expr) -> exp.Expr:
    """`COALESCE(NULLIF(x, 0), 0)` is x where x is a count; `NULLIF(NULLIF(x, 0), 0)` is `NULLIF(x, 0)`."""
    match node:
        case exp.Coalesce(this=exp.Nullif() as inner, expressions=[exp.Literal(this="0")]) if _is_count(inner.this):
            counted: exp.Expr = inner.this
            return counted
        case exp.Nullif(this=inner, expression=exp.Literal(this="0")) if (counted_ := _as_count(inner)) is not None:
            return exp.Nullif(this=counted_, expression=node.expression)
        case exp.Nullif(this=exp.Nullif() as inner, expression=exp.Literal(this="0")) if _is_zero(inner.expression):
            return inner
        case _:
            return node


def _as_count(node: exp.Expr) -> exp.Expr | None:
    """`SUM(CASE WHEN x IS NOT NULL THEN 1 ELSE 0 END)` as `COUNT(x)`, its equal within NULLIF even over no rows."""

    match node:
        case exp.Filter(this=inner, expression=where):
            counted = _as_count(inner)
            return exp.Filter(this=counted, expression=where) if counted is not None else None
        case exp.Sum(this=exp.Case(args={"ifs": [exp.If(this=exp.Is(this=value, expression=exp.Not()))]})) if (
            node == exp.Sum(this=_flag(value))
        ):
            return exp.Count(this=value.this if isinstance(value, exp.Paren) else value, big_int=True)
        case _:
            return None


def _is_count(node: exp.Expr) -> bool:
    return isinstance(node.this if isinstance(node, exp.Filter) else node, exp.Count)


def _is_zero(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and node.this == "0"
