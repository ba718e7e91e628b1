"""Compiling, warm: fifty questions on the worked example, and fifty on five thousand metrics.

Both compile on one thread, so seconds are a processor's, whatever else the machine does.
"""

import json
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

import generated
import metricflow_client
from report import Report, Table, ratio
from timing import clocked, median

import gemel

HERE = Path(__file__).parent
EXAMPLE = HERE.parent / "tests" / "compiler" / "example_manifest.json"
ROUNDS = 3


def measure(options: Namespace) -> Report:
    table = Table(["definitions", "questions", "gemel ms, median", "slowest", "first time, median",
                   "MetricFlow ms, median", "MetricFlow / gemel"])  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="gemel-bench-", dir=options.temp) as folder:
        models = 50 if options.quick else 500
        file = Path(folder) / "semantic_manifest.json"
        file.write_text(json.dumps(generated.manifest(models)))
        flights = json.loads((HERE / "flights_questions.json").read_text())
        table.rows.append(row("worked example", EXAMPLE, flights, options))
        name = f"{models} models, {models * generated.METRICS_A_MODEL:,} metrics"
        table.rows.append(row(name, file, generated.questions(models, 50), options))
    return Report([table])


def row(name: str, manifest: Path, questions: list[dict[str, Any]], options: Namespace) -> list[object]:
    """Each question in turn by both; what one refuses counts for neither."""
    project = gemel.load(manifest, database=":memory:")
    metricflow = metricflow_client.MetricFlow(manifest, limit=120) if metricflow_client.python() else None
    first: list[float] = []
    again: dict[int, list[float]] = {}
    theirs: dict[int, list[float]] = {}
    refused = set()
    for turn in range(ROUNDS + 1):
        for number, question in enumerate(questions):
            if number in refused:
                continue
            if metricflow is not None and turn < 3:
                answer = metricflow.compile(question)
                if "error" in answer:
                    options.say(f"MetricFlow refuses {question}: {answer['error'][:300]}")
                    refused.add(number)
                    continue
                if turn:
                    theirs.setdefault(number, []).append(answer["seconds"])
            _, cpu = clocked(lambda question=question: project.query(**question))
            if turn:
                again.setdefault(number, []).append(cpu)
            else:
                first.append(cpu)
    if metricflow is not None:
        metricflow.close()
    ours = [median(each) or 0 for each in again.values()]
    slowest = max(again, key=lambda number: median(again[number]) or 0)
    options.say(f"slowest of {name}: {questions[slowest]}")
    both = median(ours), median([median(each) or 0 for each in theirs.values()])
    return [name, len(ours), *map(thousands, (both[0], max(ours), median(first), both[1])), ratio(both[1], both[0])]


def thousands(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds
