"""Metric tests run: each one's outcome, with the groups that fail it.

Tests that look at the same rows by the same groups are asked in one question, in which equal parts are computed once.
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
    """How a test came out: over how many groups, and which fail. `warn` is a failure of a test that only warns,
    `error` a test that could not be asked, for the reason in `error`."""

    test: MetricTest
    status: Status
    groups: int = 0
    failures: tuple[Failure, ...] = ()
    error: GemelError | None = None


def compile_test(graph: Graph, test: MetricTest, context: Context) -> Compiled:
    """The SQL of the groups that fail a test. Raises what `judge` raises."""
    return compiled(failures(judge(graph, test)), context)


def refused(graph: Graph, tests: Iterable[MetricTest], warehouse: Runner | None) -> Iterator[GemelError]:
    """Why tests cannot be asked; what the warehouse says of their SQL too, where there is one."""
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
    """The outcomes, in the tests' order. Raises WarehouseError where the warehouse is not there at all."""
    found: dict[MetricTest, Outcome] = {}
    alike: dict[object, list[Judged]] = {}
    asked = list(tests)
    if asked:
        warehouse.check_connection()  # where it is missing, that is one error, and not one for each test
    for test in asked:
        try:
            judged = judge(graph, test)
        except GemelError as error:
            found[test] = Outcome(test, "error", error=error)
            continue
        frame = (judged.keys, test.filters, test.start_time, test.end_time)
        alike.setdefault(frame, []).append(judged)
    for several in alike.values():
        found |= {outcome.test: outcome for outcome in _asked(several, warehouse)}
    return [found[test] for test in asked]


def _asked(several: Sequence[Judged], warehouse: Runner) -> list[Outcome]:
    try:
        asked = compiled(batch(several), Context.naming(warehouse.dialect, warehouse.catalogs()))
        rows = warehouse.rows(asked).rows()
    except WarehouseError as error:
        if len(several) > 1:  # one that the engine refuses must not take the others with it
            return [outcome for each in several for outcome in _asked([each], warehouse)]
        if error.place is None and error.about is None:
            error.about = several[0].test.about
        return [Outcome(several[0].test, "error", error=error)]
    return [_outcome(each, [row for row in rows if row[0] == place]) for place, each in enumerate(several)]


def _outcome(judged: Judged, rows: Sequence[tuple[Any, ...]]) -> Outcome:
    groups, failing = 0, []
    for _, *keys, value, expected, problem in rows:
        if problem == TESTED:
            groups = int(float(value or 0))  # a text, where the engine made one of all values
        else:
            failing.append(Failure(tuple(zip(judged.keys, keys, strict=True)), value, expected, problem))
    failing.sort(key=lambda failure: [(value is None, _sortable(value)) for _, value in failure.group])
    status: Status = "pass" if not failing else "warn" if judged.test.severity == "warn" else "fail"
    return Outcome(judged.test, status, groups, tuple(failing))


def _sortable(value: Any) -> Any:
    return "" if value is None else value if isinstance(value, int | float) else str(value)
