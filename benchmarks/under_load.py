"""Many threads that query one project at once: whether all answers are equal, and how much memory they need.

    .venv/bin/python benchmarks/under_load.py                       # DuckDB, 50 threads, each 20 queries, three rounds
    .venv/bin/python benchmarks/under_load.py --postgres postgresql://postgres@127.0.0.1:5432/postgres

Each query is asked once alone first; every answer of the threads must be equal to that. Every second round comes
through asyncio. The exit code is 1 if an answer differs, or if there is an error.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

import gemel

MODEL = {
    "name": "sales",
    "defaults": {"agg_time_dimension": "sold_at"},
    "primary_entity": "sale",
    "entities": [],
    "dimensions": [
        {"name": "region", "type": "categorical"},
        {"name": "customer", "type": "categorical"},
        {"name": "sold_at", "type": "time", "type_params": {"time_granularity": "day"}},
    ],
    "measures": [
        {"name": "amount", "agg": "sum"},
        {"name": "orders", "agg": "count", "expr": "amount"},
        {"name": "buyers", "agg": "count_distinct", "expr": "customer"},
    ],
}
METRICS = [
    {"name": "revenue", "type": "simple", "type_params": {"measure": {"name": "amount"}}},
    {"name": "orders", "type": "simple", "type_params": {"measure": {"name": "orders"}}},
    {"name": "buyers", "type": "simple", "type_params": {"measure": {"name": "buyers"}}},
]
RATIO = {"numerator": {"name": "revenue"}, "denominator": {"name": "orders"}}
METRICS.append({"name": "basket", "type": "ratio", "type_params": RATIO})
COLUMNS = (
    "'r' || (n % 7) AS region, 'c' || (n * 7919 % {customers}) AS customer, n % 1000 AS amount, "
    "CAST('2024-01-01' AS DATE) + CAST(n % 366 AS INTEGER) AS sold_at"
)


def main() -> int:
    """Every engine that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=50)
    parser.add_argument("--queries", type=int, default=20, help="of each thread")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--postgres", metavar="URL")
    options = parser.parse_args()
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        places = [("duckdb", on_duckdb(Path(folder), options.rows))]
        if options.postgres:
            places.append(("postgres", on_postgres(Path(folder), options.rows, options.postgres)))
        for engine, place in places:
            with place as root:
                failures += load(engine, root, options)
    return 1 if failures else 0


def load(engine: str, root: Path, options: argparse.Namespace) -> int:
    """All rounds on one engine. Returns the number of answers that differ or failed."""
    failures = 0
    with gemel.load(root) as shop:
        expected = [ask(shop, number) for number in range(options.queries)]
        print(f"{engine}: {memory():.0f} MB after {options.queries} queries of one thread", flush=True)
        for number in range(options.rounds):
            numbers = [n for n in range(options.queries) for _ in range(options.threads)]
            run = in_asyncio if number % 2 else in_threads
            with watching_memory() as peak:
                started = time.perf_counter()
                answers = run(shop, numbers, options.threads)
                seconds = time.perf_counter() - started
            errors = [answer for answer in answers if isinstance(answer, Exception)]
            different = sum(answer != expected[n] for n, answer in zip(numbers, answers, strict=True))
            failures += different
            print(
                f"{engine}: {options.threads} threads, each {options.queries} queries ({run.__name__[3:]}) "
                f"in {seconds:.1f} s: "
                f"{len(answers) - different} equal, {len(errors)} errors; memory at most {max(peak):.0f} MB, "
                f"then {memory():.0f} MB",
                flush=True,
            )
            for error in errors[:3]:
                print(f"  {error}", flush=True)
    return failures


def ask(shop: gemel.Project, number: int) -> list[tuple[Any, ...]]:
    """The rows of the query with this number. Each has another filter, and so SQL of its own."""
    metrics = [["revenue", "orders"], ["basket"], ["buyers", "revenue"], ["orders"]][number % 4]
    groups = [["sale__region"], ["metric_time__month"], ["sale__region", "metric_time__quarter"]][number % 3]
    where = f"{{{{ Dimension('sale__region') }}}} <> 'r{number % 7}'"
    start = f"2024-01-{number % 27 + 1:02}"
    return shop.query(metrics, groups, where=where, start_time=start, order_by=groups).rows()


def attempt(shop: gemel.Project, number: int) -> Any:
    try:
        return ask(shop, number)
    except Exception as error:
        return error


def in_threads(shop: gemel.Project, numbers: list[int], threads: int) -> list[Any]:
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda number: attempt(shop, number), numbers))


def in_asyncio(shop: gemel.Project, numbers: list[int], threads: int) -> list[Any]:
    async def ask_all() -> list[Any]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(threads))
        return await asyncio.gather(*(asyncio.to_thread(attempt, shop, number) for number in numbers))

    return asyncio.run(ask_all())


def memory() -> float:
    """What the process has in memory now, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def watching_memory() -> Iterator[list[float]]:
    """The memory at many moments of the block."""
    seen, done = [memory()], Event()

    def watch() -> None:
        while not done.wait(0.02):
            seen.append(memory())

    thread = Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


@contextmanager
def on_duckdb(folder: Path, rows: int) -> Iterator[Path]:
    """A project over a DuckDB file."""
    import duckdb

    file = folder / "shop.duckdb"
    with duckdb.connect(str(file)) as connection:
        columns = COLUMNS.format(customers=rows // 10)
        connection.execute(f"CREATE TABLE sales AS SELECT {columns} FROM range({rows}) AS t(n)")
    yield write(folder / "duckdb", {"type": "duckdb", "path": str(file)}, schema="main", database="shop")


@contextmanager
def on_postgres(folder: Path, rows: int, url: str) -> Iterator[Path]:
    """A project over a schema of a server, which is dropped afterwards."""
    import psycopg

    schema, parts = f"gemel_load_{os.getpid()}", urlsplit(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        columns = COLUMNS.format(customers=rows // 10)
        connection.execute(
            f"CREATE TABLE {schema}.sales AS SELECT {columns} FROM generate_series(0, {rows - 1}) AS t(n)"
        )
        try:
            settings = {"host": parts.hostname, "port": parts.port or 5432, "user": parts.username or "postgres"}
            secret = {"password": parts.password} if parts.password else {}
            database = connection.info.dbname
            profile = {"type": "postgres", "dbname": database, "schema": schema, **settings, **secret}
            yield write(folder / "postgres", profile, schema=schema, database=database)
        finally:
            connection.execute(f"DROP SCHEMA {schema} CASCADE")


def write(root: Path, profile: dict[str, Any], *, schema: str, database: str) -> Path:
    """A project that dbt has parsed, without dbt."""
    for each in ("metrics", "target"):
        (root / each).mkdir(parents=True)
    (root / "dbt_project.yml").write_text("name: shop\nprofile: shop\nmodel-paths: [metrics]\n")
    (root / "profiles.yml").write_text(f"shop: {{target: dev, outputs: {{dev: {json.dumps(profile)}}}}}")
    model = {**MODEL, "node_relation": {"alias": "sales", "schema_name": schema, "database": database}}
    content = {"semantic_models": [model], "metrics": METRICS, "saved_queries": []}
    (root / "target/semantic_manifest.json").write_text(json.dumps(content))
    return root


if __name__ == "__main__":
    sys.exit(main())
