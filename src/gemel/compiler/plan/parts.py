"""Aggregates built from partial ones: which parts to keep for each period of time, and how to combine them."""

from collections.abc import Callable
from typing import assert_never

from sqlglot import exp

from gemel.compiler.names.terms import Leaf
from gemel.compiler.plan.algebra import Summary
from gemel.compiler.plan.facts import truncated
from gemel.compiler.question.expressions import column, conjunction, equal, interval, mean, present
from gemel.compiler.question.formulas import nonzero
from gemel.spec.metrics import Aggregation
from gemel.spec.time import Window


def summary(leaf: Leaf, name: str, measured: exp.Expr) -> Summary:
    """A leaf's aggregate over rows."""
    return Summary(name, leaf.measure.agg, measured, percentile=leaf.measure.percentile)


def parts(leaf: Leaf, name: str, measured: exp.Expr) -> tuple[Summary, ...] | None:
    """What to keep of each period for the aggregate over any periods; None if no short summary is enough."""
    match leaf.measure.agg:
        case "sum" | "count" | "min" | "max":
            return (Summary(name, leaf.measure.agg, measured),)
        case "average":
            return (Summary(f"{name}_sum", "sum", measured), Summary(f"{name}_count", "count", measured))
        case "count_distinct" | "percentile":
            return None
        case _:
            assert_never(leaf.measure.agg)


def gather(part: Summary) -> Aggregation:
    """The function that combines a part over periods: counts are summed."""
    return "sum" if part.function == "count" else part.function


def combine_parts(kept: tuple[Summary, ...], value: Callable[[str], exp.Expr] = column) -> exp.Expr:
    """The aggregate from its combined parts; `value` gives the column of a part by its name."""
    total, *count = (value(part.name) for part in kept)
    return mean(total, nonzero(count[0])) if count else total


def is_of_rows(part: Summary) -> bool:
    """Whether a part counts rows: it is then 0 only if there are none."""
    return part.function == "count" and isinstance(part.value, exp.Literal)


def of_one(part: Summary) -> exp.Expr:
    """A part of a single fact: what the fact adds to a sum, or NULL if the part's `where` excludes it."""
    value = part.value
    if part.function == "count" and not is_of_rows(part):
        one, zero = exp.Literal.number(1), exp.Literal.number(0)
        value = exp.case().when(present(value.copy()), one).else_(zero)
    return value if part.where is None else exp.case().when(part.where.copy(), value)


def in_sight(fact: exp.Expr, moment: exp.Expr, back: Window | str | None) -> exp.Expr:
    """The condition for a fact to be in a moment's window: a window, the period up to the moment, or all time."""
    conditions: list[exp.Expr] = [exp.LTE(this=fact, expression=moment)]
    match back:
        case Window():
            oldest = exp.Sub(this=moment.copy(), expression=interval(back))
            conditions.append(exp.GT(this=fact.copy(), expression=oldest))
        case str():
            # Not `fact >= start of the period`: engines are fastest at joining by equality.
            conditions.append(equal(truncated(fact.copy(), back, None), truncated(moment.copy(), back, None)))
    return conjunction(conditions)
