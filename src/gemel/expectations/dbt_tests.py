"""Metric tests as dbt's singular tests: one file each, whose SQL selects the groups that fail."""

from collections.abc import Iterable
from pathlib import Path

from sqlglot import exp

from gemel.compiler.compiled import Context
from gemel.compiler.names.graph import Graph
from gemel.compiler.sql.dialects import engine_of
from gemel.errors import GemelError, Problems
from gemel.expectations.outcomes import compile_test
from gemel.files import add_header, escape_templates, tests_folder
from gemel.spec.manifest import Relation
from gemel.spec.metric_tests import MetricTest
from gemel.spec.places import Places
from gemel.spec.project import DbtProject


def generate(
    graph: Graph, tests: Iterable[MetricTest], *, dbt: DbtProject, places: Places, root: Path, dialect: str
) -> dict[str, str]:
    """The text of each test's file, by its path below `root`; empty if the project has no folder for tests.

    `dbt` gives the argument of `ref()`. Raises Problems for tests that cannot be compiled, or not in this dialect.
    """
    folder = tests_folder(root)
    files: dict[str, str] = {}
    problems: list[GemelError] = []
    refs: set[str] = set()
    read: dict[Relation, None] = {}

    def table(relation: Relation) -> exp.Table:
        read[relation] = None
        refs.add(ref := f"{{{{ {dbt.ref(relation)} }}}}")
        return exp.Table(this=exp.Identifier(this=ref, quoted=False))

    context = Context(engine_of(dialect), table)
    for test in tests if folder else ():
        read.clear()
        try:
            sql = escape_templates(compile_test(graph, test, context).sql, but=refs)
            group = dbt.group_of(read, test.full_name)
        except GemelError as error:
            error.about = error.about or test.about
            problems.append(error)
            continue
        place = places.of(test.about)
        source = place.file if place else "the metrics"
        files[f"{folder}/{test.full_name}.sql"] = add_header(".sql", source, f"{_config(test, group)}\n\n{sql}\n")
    if problems:
        raise Problems(problems)
    return files


def _config(test: MetricTest, group: str | None) -> str:
    """dbt's config of the test: a Python call in double braces."""
    severity = f"severity='{test.severity}', " + (f"group='{group}', " if group else "")
    return f"{{{{ config({severity}meta={{'gemel': {{'metric': '{test.metric}', 'test': '{test.name}'}}}}) }}}}"
