"""Metric tests selected by their metrics and names."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from gemel.compiler.names.graph import Graph
from gemel.errors import UnknownNameError, did_you_mean
from gemel.spec.metric_tests import MetricTest


def select_tests(
    graph: Graph, tests: Sequence[MetricTest], metrics: Sequence[str], select: Sequence[str]
) -> list[MetricTest]:
    """The tests of `metrics` whose name matches a pattern of `select`; an empty argument selects all.

    Raises UnknownNameError (G201, G776).
    """
    wanted = {graph.metric(name.lower()).name for name in metrics}
    of_metrics = [test for test in tests if not wanted or test.metric in wanted]
    names = [test.full_name for test in of_metrics]
    for pattern in select:
        if not any(fnmatchcase(name, pattern) for name in names):
            hint = did_you_mean(pattern, names) or "`gemel test` without --select runs and lists all tests"
            raise UnknownNameError("G776", f"no metric test named {pattern[:80]!r}", hint=hint)
    return [test for test in of_metrics if not select or any(fnmatchcase(test.full_name, each) for each in select)]
