"""Feast's get_historical_features through gemel's offline store, and through Feast's own for DuckDB. Rows are equal.

Each turn is a process of its own, so that its peak of memory can be told.
"""

import json
import subprocess
import sys
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from equal import check_order, check_rows
from report import Report, Table, ratio
from timing import clocked, median, peak_memory

from training import VIEWS, make_tables

if TYPE_CHECKING:
    from feast import FeatureStore

TURNS = 3
STORES = {"gemel": "gemel.feast.DuckDBOfflineStore", "Feast": "duckdb"}
PROJECT = "gemel_bench"


def measure(options: Namespace) -> Report:
    rows, requests = (200_000, 50_000) if options.quick else (5_000_000, 1_000_000)
    report = Report([f"{requests:,} entity rows in pandas, 12 features of 3 Parquet files of {rows:,} rows each."])
    table = Table(["store", "rows out", "wall s", "CPU s", "peak MB", "wall / gemel", "CPU / gemel"])
    with tempfile.TemporaryDirectory(prefix="gemel-bench-", dir=options.temp) as name:
        folder = Path(name)
        make_files(folder, rows, requests)
        found: dict[str, list[dict[str, float]]] = {who: [] for who in STORES}
        for turn in range(1 if options.quick else TURNS):
            for who, turns in found.items():
                if who == "gemel" or turn == 0:  # a minute, and no less the next time
                    turns.append(run_apart(folder, who))
                    options.say(f"{who}: {turns[-1]}")
            check_equal(folder)
        middle = {
            who: [median([turn[key] for turn in turns]) for key in ("wall", "cpu", "peak")]
            for who, turns in found.items()
        }
        for who, (wall, cpu, peak) in middle.items():
            wall_ratio, cpu_ratio = ratio(wall, middle["gemel"][0]), ratio(cpu, middle["gemel"][1])
            table.rows.append((STORES[who], requests, wall, cpu, peak, wall_ratio, cpu_ratio))
    report.parts.append(table)
    return report


def make_files(folder: Path, rows: int, requests: int) -> None:
    make_tables(folder, "served", rows, requests)
    with duckdb.connect(str(folder / "served.duckdb")) as database:
        for view in VIEWS:
            database.execute(f"copy {view} to '{folder / view}.parquet'")
    (folder / "served.duckdb").unlink()


def check_equal(folder: Path) -> None:
    """The same rows; gemel's in the order asked, Feast's in any."""
    check_order("offline store", folder / "gemel.parquet", folder / "served_spine.parquet")
    one, other = (f"'{folder / who}.parquet'" for who in STORES)
    names = ", ".join(["request", "account", *(name for view in VIEWS for name in features(view))])
    check_rows("offline store", one, other, names)


def features(view: str) -> list[str]:
    return [f"{name}_{days}d" for days in VIEWS[view] for name in ("events", "amount")]


def run_apart(folder: Path, who: str) -> dict[str, float]:
    ran = subprocess.run([sys.executable, __file__, str(folder), who], capture_output=True, text=True)
    if ran.returncode:
        raise RuntimeError(ran.stderr[-2000:])
    answer: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return answer


# --- in a process of its own --------------------------------------------------------------------------------------


def retrieve(folder: Path, who: str) -> dict[str, float]:
    import pandas

    store = feature_store(folder, who)
    rows = pandas.read_parquet(folder / "served_spine.parquet")
    names = [f"{view}:{name}" for view in VIEWS for name in features(view)]
    answer: list[pandas.DataFrame] = []
    wall, cpu = clocked(lambda: answer.append(store.get_historical_features(rows, names).to_df()))
    peak = peak_memory()
    answer[0].to_parquet(folder / f"{who}.parquet")
    return {"wall": wall, "cpu": cpu, "peak": peak}


def feature_store(folder: Path, who: str) -> "FeatureStore":
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.types import Int64

    registry = str(folder / f"{who}.registry.db")
    store = FeatureStore(
        config=RepoConfig(
            project=PROJECT,
            provider="local",
            registry=registry,
            online_store=None,
            offline_store={"type": STORES[who]},
            entity_key_serialization_version=3,
        )
    )
    account = Entity(name="account", join_keys=["account"], value_type=ValueType.INT64)
    views = []
    for view in VIEWS:
        source = FileSource(
            path=f"{folder / view}.parquet",
            timestamp_field="event_timestamp",
            created_timestamp_column="created_timestamp",
        )
        schema = [Field(name=name, dtype=Int64) for name in ("account", *features(view))]
        views.append(FeatureView(name=view, entities=[account], schema=schema, source=source))
    store.apply([account, *views])
    return store


if __name__ == "__main__":
    print(json.dumps(retrieve(Path(sys.argv[1]), sys.argv[2])))
