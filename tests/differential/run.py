"""MetricFlow against gemel, on random queries.

    python tests/differential/run.py --queries 2000 --seed 0 [--project flights] [--subject reference]

MetricFlow runs in a Python of its own, named by GEMEL_METRICFLOW_PYTHON. A query counts when MetricFlow answers it,
and answers the same without its optimizers. Differences that docs/differences.md explains are told apart from the
others; one of the others makes the run fail. `--subject reference` puts tests/reference.py in gemel's place.
"""

import argparse
import collections
import datetime as dt
import decimal
import math
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from differential.explained import REFUSED_ON_PURPOSE, explain
from differential.partner import VARIABLE, MetricFlow, python
from differential.projects import NAMES, Project, World, prepare
from gemel.compiler.compiled import compile_query
from gemel.compiler.names.graph import Graph, bind
from gemel.errors import GemelError
from reference import evaluate
from reference_world import Undefined
from worlds.questions import Asker, Question

WRONG = ("different", "different from the reference", "gemel refuses", "gemel breaks")

Answer = tuple[list[str], list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Finding:
    outcome: str
    question: str
    detail: str


@dataclass
class Report:
    tally: collections.Counter[str] = field(default_factory=collections.Counter)
    findings: list[Finding] = field(default_factory=list)

    @property
    def unexplained(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.outcome in WRONG]


def run(project: Project, metricflow: MetricFlow, queries: int, seed: int, **options: Any) -> Report:
    """So many random queries, 25 on each set of tables."""
    report, chance = Report(), random.Random(seed)
    subject: Callable[[World, Question], Answer] = {"compiler": Compiler, "reference": Reference}[
        options.get("subject", "compiler")
    ](project)
    say = options.get("say", lambda finding: None)
    for world in project.worlds(seed, metricflow):
        asker = Asker(project.manifest, world.values, world.days, only=tuple(options.get("only", ())))
        for _ in range(25):
            if sum(report.tally.values()) >= queries:
                return report
            question = asker.question(chance)
            finding = judge_anew(metricflow, subject, world, asker, question)
            if finding.outcome in WRONG:
                judged = partial(judge_anew, metricflow, subject, world, asker)
                finding = smallest(finding, question, judged, asker)
            report.tally[finding.outcome] += 1
            if finding.detail:
                report.findings.append(finding)
                say(finding)
    return report


def judge_anew(
    metricflow: MetricFlow, subject: Callable[[World, Question], Answer], world: World, asker: Asker, question: Question
) -> Finding:
    return judge(metricflow.ask(question), subject, world, question, asker)


def smallest(finding: Finding, question: Question, judged: Callable[[Question], Finding], asker: Asker) -> Finding:
    """The same kind of finding for a question with as little in it as can be: fewer items, a metric's input for it."""
    for simpler in simpler_ones(question, asker):
        found = judged(simpler)
        if found.outcome == finding.outcome:
            return smallest(found, simpler, judged, asker)
    return finding


def simpler_ones(question: Question, asker: Asker) -> Iterator[Question]:
    for place, name in enumerate(question.metrics):
        others = question.metrics[:place] + question.metrics[place + 1 :]
        if others:
            yield replace(question, metrics=others)
        for used in asker.metrics[name].definition.inputs:
            if used.name not in others and not asker.metrics[used.name].private:
                yield replace(question, metrics=(*others, used.name))
    if question.order_by or question.limit is not None:
        yield replace(question, order_by=(), limit=None)
    for place in range(len(question.where)):
        yield replace(question, where=question.where[:place] + question.where[place + 1 :])
    if question.start or question.end:
        yield replace(question, start=None, end=None)
    for place in range(len(question.group_by)):
        if question.metrics or len(question.group_by) > 1:
            yield replace(question, group_by=question.group_by[:place] + question.group_by[place + 1 :])


class Compiler:
    def __init__(self, project: Project) -> None:
        self._graph: Graph = bind(project.manifest)

    def __call__(self, world: World, question: Question) -> Answer:
        result = world.database.execute(compile_query(self._graph, question.for_gemel()).sql)
        return [column[0] for column in result.description], result.fetchall()


class Reference:
    def __init__(self, project: Project) -> None:
        self._manifest = project.manifest

    def __call__(self, world: World, question: Question) -> Answer:
        return evaluate(self._manifest, world.tables, question.for_gemel())


def judge(
    theirs: dict[str, Any], subject: Callable[[World, Question], Answer], world: World, question: Question, asker: Asker
) -> Finding:
    """Where MetricFlow is no judge, or is known to differ, tests/reference.py has to agree with gemel."""
    text = str(question)
    try:
        ours = subject(world, question)
    except (GemelError, Undefined) as error:
        if "error" in theirs:
            return Finding("both refuse", text, "")
        if isinstance(error, Undefined) or error.code in REFUSED_ON_PURPOSE:
            return Finding("gemel refuses on purpose", text, "")
        return Finding("gemel refuses", text, str(error))
    except Exception as error:
        return Finding("gemel breaks", text, repr(error))
    second = by_definition(world, question, asker)
    wrong = second and compare(question, second, ours)
    if "error" in theirs or "unoptimized" in theirs:
        outcome = "only gemel answers" if "error" in theirs else "MetricFlow differs with itself"
        return Finding("different from the reference" if wrong else outcome, text, wrong or "")
    difference = compare(question, theirs, ours)
    if difference is None:
        return Finding("equal", text, "")
    if compare(question, {**theirs, "rows": undivided(theirs["rows"])}, ours) is None and not wrong:
        return Finding("explained: a division by zero", text, difference)
    case = explain(question, asker)
    if case and wrong:
        return Finding("different from the reference", text, f"{wrong} ({case}: {difference})")
    return Finding(f"explained: {case}" if case else "different", text, difference)


def by_definition(world: World, question: Question, asker: Asker) -> dict[str, Any] | None:
    """What tests/reference.py says, where the tables are small and it says anything."""
    if world.tables is None:
        return None
    try:
        columns, rows = evaluate(asker.manifest, world.tables, question.for_gemel())
    except Undefined:
        return None
    return {"columns": columns, "rows": rows}


def compare(question: Question, theirs: dict[str, Any], ours: Answer) -> str | None:
    """What differs, or None. Columns by name, rows as multisets; of a limited answer only what it is ordered by."""
    columns, rows = ours
    if sorted(columns) != sorted(theirs["columns"]):
        return f"columns {columns} against {theirs['columns']}"
    place = [columns.index(column) for column in theirs["columns"]]
    mine = [tuple(plain(row[i]) for i in place) for row in rows]
    other = [tuple(plain(value) for value in row) for row in theirs["rows"]]
    if question.limit is not None:
        keys = [name.lstrip("-") for name in question.order_by]
        at = [i for i, c in enumerate(theirs["columns"]) if any(c == k or c.startswith(k + "__") for k in keys)]
        mine, other = ([tuple(row[i] for i in at) for row in side] for side in (mine, other))
    extra = list((collections.Counter(mine) - collections.Counter(other)).elements())
    missing = list((collections.Counter(other) - collections.Counter(mine)).elements())
    if not extra and not missing:
        return None
    return f"{theirs['columns']}: only gemel {extra[:4]} ({len(extra)}), only MetricFlow {missing[:4]} ({len(missing)})"


def undivided(rows: list[list[Any]]) -> list[list[Any]]:
    """Without what a division by zero gave."""
    return [[None if isinstance(v, float) and not math.isfinite(v) else v for v in row] for row in rows]


def plain(value: Any) -> Any:
    """Dates as midnights, numbers as floats of nine digits."""
    match value:
        case {"t": text}:
            return text
        case dt.datetime():
            return value.isoformat()
        case dt.date():
            return dt.datetime(value.year, value.month, value.day).isoformat()
        case bool() | None | str():
            return value
        case int() | float() | decimal.Decimal():
            return float(f"{float(value):.9g}")
        case _:
            return str(value)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--project", choices=NAMES, default="nasty")
    parser.add_argument("--subject", choices=["compiler", "reference"], default="compiler")
    parser.add_argument("--only", nargs="*", default=(), help="metric types")
    parser.add_argument("--verbose", action="store_true", help="show explained differences too")
    options = parser.parse_args()
    interpreter = python()
    if interpreter is None:
        sys.exit(f"set {VARIABLE} to a Python that has metricflow and duckdb")

    def say(finding: Finding) -> None:
        if options.verbose or not finding.outcome.startswith("explained"):
            print(f"{finding.outcome}: {finding.question}\n    {finding.detail}", flush=True)

    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        for seed, queries in rounds(options):
            project = prepare(options.project, Path(folder), seed=seed)
            metricflow = MetricFlow(interpreter, project.manifest_file)
            found = run(project, metricflow, queries, seed, subject=options.subject, only=options.only, say=say)
            report = Report(report.tally + found.tally, report.findings + found.findings)
            metricflow.close()
    for outcome, count in report.tally.most_common():
        print(f"{count:6} {outcome}")
    sys.exit(bool(report.unexplained))


def rounds(options: argparse.Namespace) -> list[tuple[int, int]]:
    """Seeds with how many queries each: the market's definitions are drawn anew for every hundred."""
    if options.project != "market":
        return [(options.seed, options.queries)]
    sizes = [min(100, options.queries - done) for done in range(0, options.queries, 100)]
    return [(options.seed + number, size) for number, size in enumerate(sizes)]


if __name__ == "__main__":
    main()
