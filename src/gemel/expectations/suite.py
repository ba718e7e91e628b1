"""The metric tests of a project: their definitions, their outcomes, and the files in which dbt runs them."""

from collections.abc import Sequence

from gemel.errors import GemelError, Problems
from gemel.expectations import dbt_tests
from gemel.expectations.outcomes import Outcome, compile_test, run
from gemel.expectations.selection import select_tests
from gemel.session import Session
from gemel.spec.metric_tests import MetricTest, read_metric_tests, report_lost_metric_tests


def metric_tests(session: Session) -> tuple[MetricTest, ...]:
    """The tests of all public metrics. Raises Problems if one cannot be read (G77x)."""
    tests, problems = written_tests(session)
    with session.placing():
        if problems:
            raise Problems(problems)
    return tests


def written_tests(session: Session) -> tuple[tuple[MetricTest, ...], list[GemelError]]:
    """The same, with the problems of tests that cannot be read."""
    metrics = [metric for metric in session.manifest.metrics if not metric.private]
    tests, problems = read_metric_tests(metrics)
    return tests, [*problems, *(report_lost_metric_tests(session.places) if session.places else ())]


def run_tests(session: Session, metrics: Sequence[str] = (), select: Sequence[str] = ()) -> list[Outcome]:
    """The outcomes of the tests of `metrics` whose names match `select`; without arguments, of all tests.

    Raises UnknownNameError (G201, G776), and Problems for tests that cannot be read.
    """
    with session.placing():
        outcomes = run(session.graph, _select(session, metrics, select), session.runner)
    for outcome in outcomes:
        if outcome.error is not None:
            session.add_place(outcome.error)
    return outcomes


def test_sql(session: Session, metrics: Sequence[str] = (), select: Sequence[str] = ()) -> list[tuple[str, str]]:
    """The names of the same tests, each with the SQL that selects the failing groups."""
    with session.placing():
        return [
            (test.full_name, compile_test(session.graph, test, session.context()).sql)
            for test in _select(session, metrics, select)
        ]


def test_files(session: Session) -> dict[str, str]:
    """The dbt singular tests that `gemel generate` writes, as texts by path. Empty if the project has no folder for
    them. Raises Problems."""
    tests = session.once(metric_tests)
    if session.dir is None or session.places is None or not tests:
        return {}
    with session.placing():
        return dbt_tests.generate(
            session.graph, tests, dbt=session.dbt, places=session.places, root=session.dir, dialect=session.dialect
        )


def _select(session: Session, metrics: Sequence[str], select: Sequence[str]) -> list[MetricTest]:
    return select_tests(session.graph, session.once(metric_tests), metrics, select)
