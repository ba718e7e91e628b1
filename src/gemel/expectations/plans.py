"""A metric test to a plan of the groups that fail it.

tested    each group with the metric's value, and those of the metrics that it is held against
judged    the same with what was expected, and what is wrong: NULL where nothing is
failures  the groups of which something is wrong, and one row where there is no group at all
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
from gemel.expectations.questions import ask, expression, number
from gemel.spec.metric_tests import Comparison, Expected, MetricTest, Row, Scalar, Tolerance
from gemel.spec.time import floor, is_standard

NOTHING = "no groups"
"""What is wrong where there is nothing to test."""

TESTED = "tested"
"""The row of a batch that says how many groups a test looked at."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A test's groups with what is wrong of each. The columns are the keys, then the three others."""

    test: MetricTest
    plan: Plan
    keys: tuple[str, ...]
    value: str
    expected: str
    problem: str


def judge(graph: Graph, test: MetricTest) -> Judged:
    """Raises UnknownNameError, QueryError or DefinitionError (G773, G774) where the test cannot be asked."""
    with _about(test):
        keys, tested, extra = ask(graph, test)
        names = [key.name for key in keys]
        taken = {*names, test.metric, *extra}
        expected = free("expected", taken)
        problem = free("problem", {*taken, expected})
        claim = test.claim
        if isinstance(claim, Expected):
            judged = _known(test, claim, keys, tested, (expected, problem))
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
    """What cannot be asked is told of the test that asks for it."""
    try:
        yield
    except GemelError as error:
        if error.place is None:
            error.about = test.about
        raise


def failures(judged: Judged) -> Plan:
    """The groups of which something is wrong, and what: no row is a pass. The columns are those of `judged`."""
    names = (*judged.keys, judged.value, judged.expected, judged.problem)
    parts = _parts(judged, names)
    return parts[0] if len(parts) == 1 else Stack(parts, "failures")


def batch(several: Sequence[Judged]) -> Plan:
    """The failures of tests with as many keys, in one result, and a row for each test that says how many groups it
    looked at.

    Columns: `test`, the number of the test; `key_0` and so on; `value`, `expected` and `problem`.
    """
    names = (*map("key_{}".format, range(len(several[0].keys))), "value", "expected", "problem")
    branches: list[Plan] = []
    for place, judged in enumerate(several):
        told = (Named("test", number(place)),)
        branches += [*_parts(judged, names, told), _row_of(judged, names, TESTED, column("group_count"), told)]
    return Stack(tuple(branches), "outcomes")


def _parts(judged: Judged, names: Sequence[str], told: tuple[Named, ...] = ()) -> tuple[Derive, ...]:
    """The failing groups under `names`; and where there can be no group, a row that says so."""
    own = (*judged.keys, judged.value, judged.expected, judged.problem)
    wrong = Filter(Scan(judged.plan, "judged"), present(column(judged.problem, "judged")))
    values = (Named(to, column(name, "judged")) for to, name in zip(names, own, strict=True))
    failing = Derive(wrong, (*told, *values))
    # By nothing a metric is always one row, and an expected one that is not there is told as missing.
    if not judged.keys or isinstance(judged.test.claim, Expected):
        return (failing,)
    return (failing, _row_of(judged, names, NOTHING, exp.null(), told))


def _row_of(judged: Judged, names: Sequence[str], word: str, value: exp.Expr, told: tuple[Named, ...]) -> Derive:
    """One row about the groups together: how many there are, or that there are none."""
    count: Plan = Aggregate(Scan(judged.plan, "judged"), (), (Summary("group_count", "count", exp.Literal.number(1)),))
    if word == NOTHING:
        count = Filter(count, exp.Is(this=column("group_count"), expression=exp.null()))
    *keys, to_value, to_expected, to_problem = names
    empty = [Named(key, exp.null()) for key in keys]
    said = (Named(to_value, value), Named(to_expected, exp.null()), Named(to_problem, exp.Literal.string(word)))
    return Derive(count, (*told, *empty, *said))


def _bound(graph: Graph, comparison: Comparison, values: Mapping[str, exp.Expr]) -> exp.Expr:
    tree = expression(graph, comparison)
    return substitute(tree, {node.name: values[node.name.lower()] for node in tree.find_all(exp.Column)})


def _wrong(test: MetricTest, value: exp.Expr, bounds: Sequence[tuple[Comparison, exp.Expr]]) -> exp.Expr:
    """What is wrong with a group, in a word; NULL where nothing is."""
    case = exp.case()
    if not test.allow_null:
        case = case.when(_is_null(value), exp.Literal.string("null"))
    if bounds:
        # An engine orders NaN above every number, so that it would be at least anything.
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
    """The bound that is not kept; of a value that is not there, the first."""
    if not bounds:
        return _double(exp.null())
    if len(bounds) == 1:
        return bounds[0][1].copy()
    case = exp.case()
    for comparison, bound in bounds[1:]:
        case = case.when(exp.Not(this=exp.Paren(this=_HOLDS[comparison.word][0](value, bound))), bound.copy())
    return case.else_(bounds[0][1].copy())


def _known(test: MetricTest, claim: Expected, keys: Sequence[Key], tested: Plan, names: tuple[str, str]) -> Plan:
    """Each row that is expected, with the value of its group: one that is not there is missing."""
    if len(keys) != len(claim.rows[0].keys):
        told = f"the rows name {len(claim.rows[0].keys)} columns, and the groups have {len(keys)}"
        hint = f"write {', '.join(key.name for key in keys)}"
        raise DefinitionError("G774", told, hint=hint)
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
    found = Aggregate(rows, (), (*gathered, Summary(groups, "count", exp.Literal.number(1))))
    value = column(test.metric, "found")
    case = exp.case().when(_is_null(column(groups, "found")), exp.Literal.string("missing"))
    if row.value is None:
        case = case.when(present(value), exp.Literal.string("differs"))
    else:
        near = _near(value, number(row.value), test.tolerance)
        case = case.when(_is_null(value), exp.Literal.string("null"))
        case = case.when(exp.Not(this=exp.Paren(this=near)), exp.Literal.string("differs"))
    expected = _double(exp.null()) if row.value is None else number(row.value)
    outputs = [
        Named(key.name, column(key.name, "found") if key.name in unknown else literal) for key, literal in literals
    ]
    outputs += [Named(test.metric, value), Named(names[0], expected), Named(names[1], case)]
    return Derive(Scan(found, "found"), tuple(outputs))


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
            if any(mark in value for mark in ("{{", "{%", "{#")):
                raise DefinitionError("G773", f"{value[:80]!r} is template code to dbt, which runs the test")
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
        told = f"{text[:40]!r} is no {key.grain} of {key.name}"
        raise DefinitionError("G773", told, hint="write 2013, 2013-07, 2013-07-04 or 2013-07-04 12:00") from None


def _double(value: exp.Expr) -> exp.Expr:
    return exp.cast(value.copy(), exp.DataType.Type.DOUBLE)


def _is_null(value: exp.Expr) -> exp.Expr:
    return exp.Is(this=value.copy(), expression=exp.null())
