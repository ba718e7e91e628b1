"""Which of the metric tests are meant, by their metrics and names."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from gemel.compiler.names.graph import Graph
from gemel.errors import UnknownNameError, did_you_mean
from gemel.spec.metric_tests import MetricTest


def chosen(
    graph: Graph, tests: Sequence[MetricTest], metrics: Sequence[str], select: Sequence[str]
) -> list[MetricTest]:
    """Those of the `metrics` whose name is, or fits, one of `select`. Raises UnknownNameError (G201, G776)."""
    wanted = {graph.metric(name.lower()).name for name in metrics}
    of_metrics = [test for test in tests if not wanted or test.metric in wanted]
    names = [test.full_name for test in of_metrics]
    for pattern in select:
        if not any(fnmatchcase(name, pattern) for name in names):
            hint = did_you_mean(pattern, names) or "`gemel test` without names runs every one and tells them"
            raise UnknownNameError("G776", f"no metric test named {pattern[:80]!r}", hint=hint)
    return [test for test in of_metrics if not select or any(fnmatchcase(test.full_name, each) for each in select)]
