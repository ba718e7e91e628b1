"""MetricFlow and gemel give the same rows, or differ for a reason that docs/differences.md tells.

Runs where GEMEL_METRICFLOW_PYTHON names a Python that has MetricFlow; `run.py` asks thousands.
"""

import pytest
from hypothesis import settings

from differential.partner import VARIABLE, MetricFlow, python
from differential.projects import NAMES, prepare
from differential.run import run
from trials import examples

pytestmark = pytest.mark.skipif(python() is None, reason=f"{VARIABLE} names no Python that has MetricFlow")


@pytest.mark.hypothesis  # so that `make hunt` has it
@pytest.mark.parametrize("name", NAMES)
def test_sixty_random_queries_have_metricflows_answers(name, tmp_path, pytestconfig):
    hunting = settings.get_current_profile_name() == "hunt"
    seed = int(pytestconfig.getoption("hypothesis_seed")) if hunting else 0
    project = prepare(name, tmp_path, seed=seed)
    metricflow = MetricFlow(python(), project.manifest_file)
    report = run(project, metricflow, queries=examples(60).max_examples, seed=seed + 1)
    metricflow.close()
    assert report.tally["equal"] >= 25
    assert not report.unexplained
