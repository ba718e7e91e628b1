"""Metric tests run: the outcome of each, with the groups that fail.

Tests of the same rows and the same groups run as one query, which computes equal parts once.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gemel.compiler.compiled import Compiled, Context, compiled
from gemel.compiler.names.graph import Graph
from gemel.errors import GemelError, WarehouseError
from gemel.expectations.plans import TESTED, Judged, batch, failures, judge
from gemel.run import Runner
from gemel.spec.metric_tests import MetricTest

Status = Literal["pass", "warn", "fail", "error"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A group that fails a test. `problem` is `missing`, `null`, `differs`, `below`, `above` and the like."""

    group: tuple[tuple[str, Any], ...]
    value: Any
    expected: Any
    problem: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a test: the number of groups, and those that fail. `warn` is a failure of a test whose severity is
    `warn`; `error` is a test that could not run, for the reason in `error`."""

    test: MetricTest
    status: Status
    groups: int = 0
    failures: tuple[Failure, ...] = ()
    error: GemelError | None = None


def compile_test(graph: Graph, test: MetricTest, context: Context) -> Compiled:
    """The SQL of the groups that fail a test. Raises what `judge` raises."""
    return compiled(failures(judge(graph, test)), context)


def check_tests(graph: Graph, tests: Iterable[MetricTest], warehouse: Runner | None) -> Iterator[GemelError]:
    """Why tests cannot run. With a warehouse, its objections to their SQL too."""
    for test in tests:
        try:
            dialect = warehouse.dialect if warehouse else graph.texts.dialect
            catalogs = warehouse.catalogs() if warehouse else None
            failing = compile_test(graph, test, Context.naming(dialect, catalogs))
            if warehouse:
                warehouse.describe(failing)
        except GemelError as error:
            error.about = error.about or test.about
            yield error


def run(graph: Graph, tests: Iterable[MetricTest], warehouse: Runner) -> list[Outcome]:
    """The outcomes, in the order of the tests. Raises WarehouseError if there is no connection to the warehouse."""
    outcomes: dict[MetricTest, Outcome] = {}
    groups: dict[object, list[Judged]] = {}
    requested = list(tests)
    if requested:
        warehouse.check_connection()  # a missing warehouse is one error, and not one for each test
    for test in requested:
        try:
            judged = judge(graph, test)
        except GemelError as error:
            outcomes[test] = Outcome(test, "error", error=error)
            continue
        frame = (judged.keys, test.filters, test.start_time, test.end_time)
        groups.setdefault(frame, []).append(judged)
    for group in groups.values():
        outcomes |= {outcome.test: outcome for outcome in _run_together(group, warehouse)}
    return [outcomes[test] for test in requested]


def _run_together(group: Sequence[Judged], warehouse: Runner) -> list[Outcome]:
    try:
        query = compiled(batch(group), Context.naming(warehouse.dialect, warehouse.catalogs()))
        rows = warehouse.rows(query).rows()
    except WarehouseError as error:
        if len(group) > 1:  # a test that the engine refuses must not fail the others
            return [outcome for each in group for outcome in _run_together([each], warehouse)]
        if error.place is None and error.about is None:
            error.about = group[0].test.about
        return [Outcome(group[0].test, "error", error=error)]
    return [_outcome(each, [row for row in rows if row[0] == number]) for number, each in enumerate(group)]


def _outcome(judged: Judged, rows: Sequence[tuple[Any, ...]]) -> Outcome:
    groups, failing = 0, []
    for _, *keys, value, expected, problem in rows:
        if problem == TESTED:
            groups = int(float(value or 0))  # text, if the engine casts the whole column to text
        else:
            failing.append(Failure(tuple(zip(judged.keys, keys, strict=True)), value, expected, problem))
    failing.sort(key=lambda failure: [(value is None, _sortable(value)) for _, value in failure.group])
    status: Status = "pass" if not failing else "warn" if judged.test.severity == "warn" else "fail"
    return Outcome(judged.test, status, groups, tuple(failing))


def _sortable(value: Any) -> Any:
    return "" if value is None else value if isinstance(value, int | float) else str(value)
