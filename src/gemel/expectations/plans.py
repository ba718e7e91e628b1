"""A metric test to a plan of the groups that fail it.

tested    each group with the metric's value, and the values of the metrics it is compared with
judged    the same, with the expected value and the problem: NULL if there is none
failures  the groups with a problem, or one row if there are no groups
"""

import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import assert_never

from sqlglot import exp

from gemel.compiler.names.graph import Graph
from gemel.compiler.names.terms import Key
from gemel.compiler.plan.algebra import Aggregate, Derive, Filter, Named, Plan, Scan, Stack, Summary
from gemel.compiler.plan.facts import timestamp
from gemel.compiler.question.expressions import column, equal, free, parenthesized, present, substitute
from gemel.errors import DefinitionError, GemelError
from gemel.expectations.questions import expression, number, plan_groups
from gemel.spec.metric_tests import Comparison, Expected, MetricTest, Row, Scalar, Tolerance
from gemel.spec.time import floor, is_standard

NOTHING = "no groups"
"""The problem of a test without groups."""

TESTED = "tested"
"""Marks the row of a batch that holds the number of groups of a test."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A test's groups, each with its problem. The columns are the keys, then `value`, `expected` and `problem`."""

    test: MetricTest
    plan: Plan
    keys: tuple[str, ...]
    value: str
    expected: str
    problem: str


def judge(graph: Graph, test: MetricTest) -> Judged:
    """Raises UnknownNameError, QueryError or DefinitionError (G773, G774) if the test is invalid."""
    with _about(test):
        keys, tested, extra = plan_groups(graph, test)
        names = [key.name for key in keys]
        existing = {*names, test.metric, *extra}
        expected = free("expected", existing)
        problem = free("problem", {*existing, expected})
        claim = test.claim
        if isinstance(claim, Expected):
            judged = _compare_rows(test, claim, keys, tested, (expected, problem))
        else:
            rows = Scan(tested, "tested")
            values = {name: column(name, "tested") for name in (test.metric, *extra)}
            bounds = [(each, _bound(graph, each, values)) for each in claim.comparisons]
            value = values[test.metric]
            wrong = _wrong(test, value, bounds)
            outputs = [Named(name, column(name, "tested")) for name in names]
            outputs += [Named(test.metric, value), Named(expected, _expected(value, bounds)), Named(problem, wrong)]
            judged = Derive(rows, tuple(outputs))
    return Judged(test, judged, tuple(names), test.metric, expected, problem)


@contextmanager
def _about(test: MetricTest) -> Iterator[None]:
    """Errors raised inside are about this test."""
    try:
        yield
    except GemelError as error:
        if error.place is None:
            error.about = test.about
        raise


def failures(judged: Judged) -> Plan:
    """The groups with a problem: a test passes if there is no row. The columns are those of `judged`."""
    names = (*judged.keys, judged.value, judged.expected, judged.problem)
    parts = _parts(judged, names)
    return parts[0] if len(parts) == 1 else Stack(parts, "failures")


def batch(several: Sequence[Judged]) -> Plan:
    """The failures of tests with the same number of keys, in one result, and a row for each test with the number of its
    groups.

    Columns: `test`, the number of the test; `key_0` and so on; `value`, `expected` and `problem`.
    """
    names = (*map("key_{}".format, range(len(several[0].keys))), "value", "expected", "problem")
    branches: list[Plan] = []
    for place, judged in enumerate(several):
        label = (Named("test", number(place)),)
        branches += [*_parts(judged, names, label), _row_of(judged, names, TESTED, column("group_count"), label)]
    return Stack(tuple(branches), "outcomes")


def _parts(judged: Judged, names: Sequence[str], label: tuple[Named, ...] = ()) -> tuple[Derive, ...]:
    """The failing groups, their columns under `names`; if a test can be without groups, also a row for that problem."""
    own = (*judged.keys, judged.value, judged.expected, judged.problem)
    wrong = Filter(Scan(judged.plan, "judged"), present(column(judged.problem, "judged")))
    values = (Named(to, column(name, "judged")) for to, name in zip(names, own, strict=True))
    failing = Derive(wrong, (*label, *values))
    # Without keys a metric is always one row, and an expected row without a group is reported as missing.
    if not judged.keys or isinstance(judged.test.claim, Expected):
        return (failing,)
    return (failing, _row_of(judged, names, NOTHING, exp.null(), label))


def _row_of(judged: Judged, names: Sequence[str], word: str, value: exp.Expr, label: tuple[Named, ...]) -> Derive:
    """One row about all groups: their number, or that there are none."""
    count: Plan = Aggregate(Scan(judged.plan, "judged"), (), (Summary("group_count", "count", exp.Literal.number(1)),))
    if word == NOTHING:
        count = Filter(count, exp.Is(this=column("group_count"), expression=exp.null()))
    *keys, to_value, to_expected, to_problem = names
    empty = [Named(key, exp.null()) for key in keys]
    values = (Named(to_value, value), Named(to_expected, exp.null()), Named(to_problem, exp.Literal.string(word)))
    return Derive(count, (*label, *empty, *values))


def _bound(graph: Graph, comparison: Comparison, values: Mapping[str, exp.Expr]) -> exp.Expr:
    tree = expression(graph, comparison)
    return substitute(tree, {node.name: values[node.name.lower()] for node in tree.find_all(exp.Column)})


def _wrong(test: MetricTest, value: exp.Expr, bounds: Sequence[tuple[Comparison, exp.Expr]]) -> exp.Expr:
    """The problem of a group, in a word; NULL if there is none."""
    case = exp.case()
    if not test.allow_null:
        case = case.when(_is_null(value), exp.Literal.string("null"))
    if bounds:
        # Engines order NaN above every number, so it would pass any `at_least`.
        case = case.when(equal(_double(value), _double(exp.Literal.string("NaN"))), exp.Literal.string("not a number"))
    for comparison, bound in bounds:
        if not test.allow_null and isinstance(comparison.bound, str):
            case = case.when(_is_null(bound), exp.Literal.string("nothing to compare with"))
        holds, word = _HOLDS[comparison.word]
        true = _near(value, bound, test.tolerance) if comparison.word == "equals" else holds(value, bound)
        case = case.when(exp.Not(this=exp.Paren(this=true)), exp.Literal.string(word))
    return case


_HOLDS: dict[str, tuple[Callable[[exp.Expr, exp.Expr], exp.Expr], str]] = {
    "equals": (equal, "differs"),
    "at_least": (lambda value, bound: exp.GTE(this=value.copy(), expression=bound.copy()), "below"),
    "at_most": (lambda value, bound: exp.LTE(this=value.copy(), expression=bound.copy()), "above"),
    "more_than": (lambda value, bound: exp.GT(this=value.copy(), expression=bound.copy()), "not above"),
    "less_than": (lambda value, bound: exp.LT(this=value.copy(), expression=bound.copy()), "not below"),
}


def _near(value: exp.Expr, expected: exp.Expr, tolerance: Tolerance) -> exp.Expr:
    if not tolerance.amount:
        return equal(value.copy(), expected.copy())
    distance = exp.Abs(this=exp.Sub(this=parenthesized(value.copy()), expression=parenthesized(expected.copy())))
    allowed: exp.Expr = number(tolerance.amount)
    if tolerance.relative:
        allowed = exp.Mul(this=allowed, expression=exp.Abs(this=expected.copy()))
    return exp.LTE(this=distance, expression=allowed)


def _expected(value: exp.Expr, bounds: Sequence[tuple[Comparison, exp.Expr]]) -> exp.Expr:
    """The bound that the value violates; the first bound if the value is NULL."""
    if not bounds:
        return _double(exp.null())
    if len(bounds) == 1:
        return bounds[0][1].copy()
    case = exp.case()
    for comparison, bound in bounds[1:]:
        case = case.when(exp.Not(this=exp.Paren(this=_HOLDS[comparison.word][0](value, bound))), bound.copy())
    return case.else_(bounds[0][1].copy())


def _compare_rows(test: MetricTest, claim: Expected, keys: Sequence[Key], tested: Plan, names: tuple[str, str]) -> Plan:
    """Each expected row beside the value of its group; a group that does not exist is `missing`."""
    if len(keys) != len(claim.rows[0].keys):
        message = f"the rows name {len(claim.rows[0].keys)} columns, but the groups have {len(keys)}"
        hint = f"write {', '.join(key.name for key in keys)}"
        raise DefinitionError("G774", message, hint=hint)
    rows = tuple(_row(test, row, keys, tested, names) for row in claim.rows)
    return Stack(rows, "judged") if len(rows) > 1 else rows[0]


def _row(test: MetricTest, row: Row, keys: Sequence[Key], tested: Plan, names: tuple[str, str]) -> Plan:
    literals = [(key, _literal(test, key, value)) for key, (_, value) in zip(keys, row.keys, strict=True)]
    rows: Plan = Scan(tested, "tested")
    for key, literal in literals:
        own = column(key.name, "tested")
        rows = Filter(rows, _is_null(own) if isinstance(literal, exp.Null) else equal(own, literal.copy()))
    groups = free("group_count", [test.metric, *names])
    # A key that is NULL is taken from the rows, where it has a type.
    unknown = [key.name for key, literal in literals if isinstance(literal, exp.Null)]
    gathered = [Summary(name, "max", column(name, "tested")) for name in (test.metric, *unknown)]
    actual = Aggregate(rows, (), (*gathered, Summary(groups, "count", exp.Literal.number(1))))
    value = column(test.metric, "actual")
    case = exp.case().when(_is_null(column(groups, "actual")), exp.Literal.string("missing"))
    if row.value is None:
        case = case.when(present(value), exp.Literal.string("differs"))
    else:
        near = _near(value, number(row.value), test.tolerance)
        case = case.when(_is_null(value), exp.Literal.string("null"))
        case = case.when(exp.Not(this=exp.Paren(this=near)), exp.Literal.string("differs"))
    expected = _double(exp.null()) if row.value is None else number(row.value)
    outputs = [
        Named(key.name, column(key.name, "actual") if key.name in unknown else literal) for key, literal in literals
    ]
    outputs += [Named(test.metric, value), Named(names[0], expected), Named(names[1], case)]
    return Derive(Scan(actual, "actual"), tuple(outputs))


def _literal(test: MetricTest, key: Key, value: Scalar) -> exp.Expr:
    match value:
        case None:
            return exp.null()
        case bool():
            return exp.true() if value else exp.false()
        case str() if key.grain and is_standard(key.grain):
            return timestamp(floor(_moment(key, value), key.grain))
        case int() if key.grain == "year":
            return timestamp(dt.datetime(value, 1, 1))
        case str():
            return exp.Literal.string(value)
        case int() | float():
            return number(value)
        case _:
            assert_never(value)


def _moment(key: Key, text: str) -> dt.datetime:
    """`2013`, `2013-07`, `2013-07-04`, `2013-07-04 12:00`."""
    padded = text + "-01-01"[len(text) - 4 :] if re.fullmatch(r"\d{4}(-\d\d)?", text) else text
    try:
        return dt.datetime.fromisoformat(padded).replace(tzinfo=None)
    except ValueError:
        message = f"{text[:40]!r} is not a {key.grain} of {key.name}"
        raise DefinitionError("G773", message, hint="write 2013, 2013-07, 2013-07-04 or 2013-07-04 12:00") from None


def _double(value: exp.Expr) -> exp.Expr:
    return exp.cast(value.copy(), exp.DataType.Type.DOUBLE)


def _is_null(value: exp.Expr) -> exp.Expr:
    return exp.Is(this=value.copy(), expression=exp.null())
