"""The catalogue of 2,000 metrics: written, and read in headless Chromium. There is no peer to stand beside it."""

import json
import shutil
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

import duckdb
import generated
from report import Report, Table
from timing import clocked

import gemel

METRICS = 2_000
CHROMIUM = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
# A page is there when its heading is, after the next frame is drawn.
SHOWN = """([hash, heading]) => new Promise((done, failed) => {
    const started = performance.now();
    const look = () => {
        if (performance.now() - started > 10_000) failed(new Error(`no page ${hash}`));
        else if (document.querySelector('h1')?.textContent !== heading) requestAnimationFrame(look);
        else requestAnimationFrame(() => done(performance.now() - started));
    };
    location.hash = hash;
    look();
})"""
TYPED = """words => {
    const box = document.getElementById('search'), started = performance.now();
    box.value = words;
    box.dispatchEvent(new Event('input'));
    document.getElementById('results').getBoundingClientRect();
    return performance.now() - started;
}"""


def measure(options: Namespace) -> Report:
    from gemel.catalogue.content import Numbers
    from gemel.catalogue.pages import gather
    from gemel.catalogue.series import series
    from gemel.catalogue.site import write
    from gemel.graph.building import read_graph

    metrics = 200 if options.quick else METRICS
    written = Table(["metrics", "pages", "lineage s", "pages s", "charts s", "files s", "MB"])
    with tempfile.TemporaryDirectory(prefix="gemel-bench-", dir=options.temp) as folder:
        definitions = generated.manifest(metrics // generated.METRICS_A_MODEL)
        manifest, database = Path(folder) / "large.json", Path(folder) / "large.duckdb"
        manifest.write_text(json.dumps(definitions))
        with duckdb.connect(str(database)) as connection:
            connection.execute(generated.tables(definitions))
            fill(connection, definitions)
        project = gemel.load(manifest, database=database)
        lineage, _ = clocked(lambda: project.session.once(read_graph))
        charts, _ = clocked(lambda: series(project))
        pages, _ = clocked(lambda: gather(project, Numbers({}, {})))
        content = gather(project, Numbers(series(project), {}))
        files, _ = clocked(lambda: write(content, Path(folder) / "site"))
        size = sum(file.stat().st_size for file in (Path(folder) / "site").rglob("*.*")) / 1e6
        written.rows.append([metrics, len(content.nodes), lineage, pages, charts, files, size])
        tables = [written]
        program = shutil.which("chromium") or shutil.which("google-chrome")
        if program:
            tables.append(read(Path(folder) / "site" / "index.html", program))
    return Report(tables)


def fill(connection: duckdb.DuckDBPyConnection, definitions: dict[str, Any]) -> None:
    """A thousand rows over two years for each model."""
    values = {
        "INTEGER": "i % 97",
        "VARCHAR": "'kind ' || i % 5",
        "DATE": "DATE '2024-01-01' + (i % 730)::INT",
        "DOUBLE": "i",
    }
    connection.execute("INSERT INTO days FROM range(DATE '2024-01-01', DATE '2026-01-01', INTERVAL 1 DAY)")
    for model in definitions["semantic_models"]:
        table = model["node_relation"]["alias"]
        kinds = [row[1] for row in connection.execute(f"DESCRIBE {table}").fetchall()]
        columns = ", ".join(values[kind] for kind in kinds)
        connection.execute(f"INSERT INTO {table} SELECT {columns} FROM range(1000) AS rows(i)")


def read(site: Path, program: str) -> Table:
    from playwright.sync_api import sync_playwright

    table = Table(["in the browser", "ms"])
    with sync_playwright() as play:
        page = play.chromium.launch(executable_path=program, args=CHROMIUM).new_page()
        page.goto(site.as_uri())
        page.locator(".cards").wait_for()
        told = "performance.getEntriesByType('navigation')[0].loadEventEnd"
        table.rows.append(["the first page", page.evaluate(told)])
        table.rows.append(["the list of metrics", page.evaluate(SHOWN, ["#/metric", "Metrics"])])
        table.rows.append(
            ["a metric with its lineage", page.evaluate(SHOWN, ["#/metric/open_revenue_7", "open_revenue_7"])]
        )
        table.rows.append(["a search, two words", page.evaluate(TYPED, "open 7")])
    return table
