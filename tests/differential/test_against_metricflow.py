"""MetricFlow and gemel give the same rows, or differ for a reason that docs/differences.md tells.

Runs where GEMEL_METRICFLOW_PYTHON names a Python that has MetricFlow; `run.py` asks thousands.
"""

import pytest

from differential.partner import VARIABLE, MetricFlow, python
from differential.projects import NAMES, prepare
from differential.run import run

pytestmark = pytest.mark.skipif(python() is None, reason=f"{VARIABLE} names no Python that has MetricFlow")


@pytest.mark.parametrize("name", NAMES)
def test_sixty_random_queries_have_metricflows_answers(name, tmp_path):
    project = prepare(name, tmp_path)
    metricflow = MetricFlow(python(), project.manifest_file)
    report = run(project, metricflow, queries=60, seed=1)
    metricflow.close()
    assert report.tally["equal"] >= 25
    assert not report.unexplained
