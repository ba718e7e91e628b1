"""Loading definitions: time over the number of metrics, gemel and MetricFlow. Seconds are a processor's."""

import gc
import json
import os
import shutil
import tempfile
from argparse import Namespace
from pathlib import Path

import generated
import metricflow_client
from report import Report, Table, ratio
from timing import clocked, median

import gemel
from gemel.compiler.names.graph import bind
from gemel.dbt.semantic.cache import write_cache
from gemel.dbt.semantic.reading import read_manifest

SIZES = (500, 1_000, 2_000, 5_000)
TURNS = 3
LIMIT = 120.0  # seconds on the clock, imports included


def measure(options: Namespace) -> Report:
    table = Table(["metrics", "MB", "gemel s", "of it JSON", "reading", "binding", "keeping", "second start s",
                   "gemel µs a metric", "MetricFlow s", "MetricFlow / gemel"])  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="gemel-bench-", dir=options.temp) as folder:
        os.environ["XDG_CACHE_HOME"] = str(Path(folder) / "cache")
        for metrics in SIZES[:2] if options.quick else SIZES:
            file = Path(folder) / f"{metrics}.json"
            file.write_text(json.dumps(generated.manifest(metrics // generated.METRICS_A_MODEL)))
            table.rows.append(row(metrics, file, options))
            options.say(str(table.rows[-1]))
    return Report([table])


def row(metrics: int, file: Path, options: Namespace) -> list[object]:
    first, second, parts = [], [], []
    for _ in range(TURNS):
        shutil.rmtree(os.environ["XDG_CACHE_HOME"], ignore_errors=True)
        for seconds in (first, second):
            gc.collect()
            seconds.append(clocked(lambda: gemel.load(file, database=":memory:").session.graph)[1])
        parts.append(parts_of(file))
    ours = median(first)
    theirs = metricflow_seconds(file)
    times = theirs if isinstance(theirs, float) else None
    each = None if ours is None else 1e6 * ours / metrics
    steps = [median([part[place] for part in parts]) for place in range(4)]
    megabytes = file.stat().st_size / 1e6
    return [metrics, megabytes, ours, *steps, median(second), each, theirs, ratio(times, ours)]


def parts_of(file: Path) -> tuple[float, float, float, float]:
    kept: list = []
    gc.collect()
    return (
        clocked(lambda: kept.append(json.loads(file.read_bytes())))[1],
        clocked(lambda: kept.append(read_manifest(kept[-1])))[1],
        clocked(lambda: kept.append(bind(kept[-1])))[1],
        clocked(lambda: write_cache(file.with_suffix(".kept"), file.read_bytes(), kept[1]))[1],
    )


def metricflow_seconds(file: Path) -> float | str | None:
    if not metricflow_client.python():
        return None
    try:
        metricflow = metricflow_client.MetricFlow(file, limit=LIMIT)
    except metricflow_client.TooSlow as error:
        return str(error)
    metricflow.close()
    return metricflow.load_seconds
