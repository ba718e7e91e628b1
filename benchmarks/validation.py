"""`gemel validate` over the number of metrics, with and without the warehouse, and MetricFlow's rules over the same
definitions. Seconds are a processor's."""

import json
import tempfile
from argparse import Namespace
from pathlib import Path

import duckdb
import generated
import metricflow_client
from report import Report, Table, ratio
from timing import clocked, median

import gemel

SIZES = (500, 1_000, 2_000, 5_000)
TURNS = 3
LIMIT = 120.0  # seconds on the clock


def measure(options: Namespace) -> Report:
    table = Table(
        ["metrics", "definitions s", "with tables s", "ms a metric", "MetricFlow s", "MetricFlow / definitions"]
    )
    with tempfile.TemporaryDirectory(prefix="gemel-bench-", dir=options.temp) as folder:
        for metrics in SIZES[:1] if options.quick else SIZES:
            file = Path(folder) / f"{metrics}.json"
            manifest = generated.manifest(metrics // generated.METRICS_A_MODEL)
            file.write_text(json.dumps(manifest))
            database = file.with_suffix(".duckdb")
            with duckdb.connect(str(database)) as connection:
                connection.execute(generated.tables(manifest))
            table.rows.append(row(metrics, file, database))
            options.say(str(table.rows[-1]))
    return Report([table])


def row(metrics: int, file: Path, database: Path) -> list[object]:
    definitions, with_tables = [], []
    for _ in range(TURNS):
        definitions.append(clocked(lambda: validated(file, database, skip_dw=True))[1])
        with_tables.append(clocked(lambda: validated(file, database, skip_dw=False))[1])
    ours, all_of_it = median(definitions), median(with_tables)
    theirs = metricflow_seconds(file)
    times = theirs if isinstance(theirs, float) else None
    each = None if all_of_it is None else 1e3 * all_of_it / metrics
    return [metrics, ours, all_of_it, each, theirs, ratio(times, ours)]


def validated(file: Path, database: Path, *, skip_dw: bool) -> None:
    found = gemel.load(file, database=database).validate(skip_dw=skip_dw)
    wrong = [str(finding) for finding in found if finding.severity == "error"]
    assert not wrong, wrong[:3]


def metricflow_seconds(file: Path) -> float | str | None:
    """Reading the definitions and applying MetricFlow's rules to them."""
    if not metricflow_client.python():
        return None
    try:
        metricflow = metricflow_client.MetricFlow(file, limit=LIMIT)
        seconds: float = metricflow.validate(limit=LIMIT)["seconds"]
    except metricflow_client.TooSlow as error:
        return str(error)
    metricflow.close()
    return metricflow.load_seconds + seconds
