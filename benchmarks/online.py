"""A million entities of ten features brought online by gemel, and fewer of the same by Feast, as rows a second; then
100 entity rows read by either. Each writer is a process of its own, so that its memory is seen.

And the worked example, read as a service reads it: `Project.online` beside Feast's `get_online_features`."""

import argparse
import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
from cold import build_example
from report import Report, Table, ratio
from timing import peak_memory

ROWS, SAMPLE = 1_000_000, 100_000
READ, TURNS = 100, 200
PROJECT = "gemel_bench"
END = dt.datetime(2024, 2, 1, tzinfo=dt.UTC)
FEATURES = {
    **{"visits": "int64", "spent": "int64", "rank": "int64", "rate": "float64", "share": "float64", "score": "float64"},
    **{"weight": "float32", "segment": "string", "active": "bool", "ratio": "float64"},
}
SQL = """
    SELECT i AS customer, timestamp '2024-01-01' + interval 1 hour * (i % 500) AS event_timestamp,
           i % 1000 AS visits, i * 7919 % 1000000 AS spent, i % 77 AS rank, random() AS rate, random() * 100 AS share,
           random() AS score, random()::float AS weight, 'segment ' || (i % 50) AS segment, i % 2 = 0 AS active,
           CASE WHEN i % 3 > 0 THEN random() END AS ratio, timestamp '2024-02-01' AS created_timestamp
    FROM range({rows}) t(i)
"""


def measure(options: argparse.Namespace) -> Report:
    rows, sample = (20_000, 2_000) if options.quick else (ROWS, SAMPLE)
    writes = Table(
        [
            *("store", "gemel rows", "s", "rows / s", "CPU s", "peak MB"),
            *("Feast rows", "rows / s ", "CPU s ", "gemel / Feast", "by CPU"),
        ]
    )
    reads = Table(["store", "entity rows", "gemel p50 ms", "Feast p50 ms", "gemel / Feast"])
    with tempfile.TemporaryDirectory(prefix="gemel-bench-", dir=options.temp) as folder:
        for kind in ("sqlite", "redis"):
            store = {"kind": kind, "folder": folder}
            theirs = child("write", store, "feast", sample)
            ours = child("write", store, "gemel", rows)
            options.say(f"{kind}: {ours} {theirs}")
            rate, feasts = rows / ours["seconds"], sample / theirs["seconds"]
            by_cpu = (rows / ours["cpu"]) / (sample / theirs["cpu"])
            writes.rows.append(
                [
                    *(kind, rows, ours["seconds"], rate, ours["cpu"], ours["mb"]),
                    *(sample, feasts, theirs["cpu"], ratio(rate, feasts), by_cpu),
                ]
            )
            both = child("read", store, "both", sample)
            reads.rows.append([kind, READ, both["gemel"], both["feast"], ratio(both["gemel"], both["feast"])])
        served = Table(
            ["store", "entity rows", "views", "gemel p50 ms", "Feast p50 ms", "its to_dict()", "gemel / Feast"]
        )
        project = build_example(Path(folder) / "example")
        for kind in ("sqlite", "redis"):
            serve_from(project, kind)
            for name, rows in ASKED.items():
                both = child("serve", {"kind": kind, "folder": str(project)}, name, rows)
                figures = (both["gemel"], both["feast"], both["to_dict"], ratio(both["gemel"], both["feast"]))
                served.rows.append([kind, rows, both["views"], *figures])
            emptied(kind, Path(folder))
    return Report([writes, reads, served])


def child(task: str, store: dict[str, str], who: str, rows: int) -> dict[str, float]:
    words = [sys.executable, __file__, task, who, str(rows), store["kind"], store["folder"]]
    ran = subprocess.run(words, capture_output=True, text=True)
    if ran.returncode:
        raise RuntimeError(ran.stderr[-2000:])
    answer: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return answer


ASKED = {"carrier_punctuality": 1, "departure_delay_v1": 100}
"""A view and a service of the worked example, and the entity rows that are read of them."""
ENTITIES = {"carrier": "carrier_punctuality", "origin": "origin_congestion", "plane": "plane_history"}
"""The views that have the keys of each entity."""


def serve_from(project: Path, kind: str) -> None:
    """Bring the worked example online, in a store of its own."""
    import yaml

    address, file = server(), project / "feature_views/feature_store.yaml"
    content = yaml.safe_load(file.read_text()) | {"project": PROJECT, "registry": f"data/{kind}.registry.db"}
    content["online_store"] = {
        "sqlite": {"type": "sqlite", "path": "data/bench.db"},
        "redis": {"type": "redis", "connection_string": f"{address['host']}:{address['port']},db={address['db']}"},
    }[kind]
    file.write_text(yaml.safe_dump(content))
    for command in ("apply", "materialize"):
        words = [sys.executable, "-m", "gemel", "features", command, "--project-dir", str(project)]
        subprocess.run(words, check=True, capture_output=True)


def serve(name: str, rows: int, kind: str, project: Path) -> dict[str, float]:
    """Milliseconds at the median of an open project and an open FeatureStore. They take turns, and must answer the
    same."""
    from feast import FeatureStore

    import gemel

    data = project / "feature_views/data"
    keys = {
        entity: [
            key for (key,) in duckdb.sql(f"SELECT DISTINCT {entity} FROM '{data / view}.parquet' ORDER BY 1").fetchall()
        ]
        for entity, view in ENTITIES.items()
    }
    ours, feast = gemel.load(project), FeatureStore(repo_path=str(project / "feature_views"))
    if name == "carrier_punctuality":
        view = feast.get_feature_view(name)
        asked, wanted = [{"carrier": "UA"}], [f"{name}:{field.name}" for field in view.features]
    else:
        wanted = feast.get_feature_service(name)
        asked = [{entity: each[place % len(each)] for entity, each in keys.items()} for place in range(rows)]
    times: dict[str, list[float]] = {"gemel": [], "feast": [], "to_dict": []}
    for _ in range(5 * TURNS):
        start = time.perf_counter()
        mine = ours.online(name, asked)
        middle = time.perf_counter()
        response = feast.get_online_features(wanted, asked)
        answered = time.perf_counter()
        theirs = response.to_dict()
        times["to_dict"].append(time.perf_counter() - answered)
        times["feast"].append(answered - middle)
        times["gemel"].append(middle - start)
    for feature in mine[0].values:
        assert [row and row.values[feature] for row in mine] == theirs[feature], feature
    ours.close()
    views = 1 if isinstance(wanted, list) else len(wanted.feature_view_projections)
    return {key: 1e3 * sorted(taken)[len(taken) // 2] for key, taken in times.items()} | {"views": views}


def table(folder: Path, rows: int) -> Path:
    file = folder / f"customers_{rows}.parquet"
    if not file.exists():
        duckdb.sql(f"COPY ({SQL.format(rows=rows)}) TO '{file}'")
    return file


def server() -> dict[str, object]:
    url = urlsplit(os.environ.get("GEMEL_TEST_REDIS", "redis://127.0.0.1:6379/0"))
    return {"host": url.hostname, "port": url.port, "db": int(url.path[1:] or 0)}


def emptied(kind: str, folder: Path) -> None:
    if kind == "sqlite":
        (folder / "online.db").unlink(missing_ok=True)
        return
    import redis

    client = redis.Redis(**server())
    keys = [*client.scan_iter(f"*{PROJECT}", count=10_000), f"gemel:{PROJECT}:materialized"]
    for start in range(0, len(keys), 1_000):
        client.unlink(*keys[start : start + 1_000])


def ours(kind: str, folder: Path, file: Path):
    from gemel.online.config import RedisStore, SqliteStore
    from gemel.online.newest import OnlineView
    from gemel.online.opening import open_store

    config = SqliteStore(PROJECT, folder / "online.db") if kind == "sqlite" else RedisStore(PROJECT, server())
    return open_store(config), OnlineView("customers", {"customer": "int64"}, FEATURES, file)


def feasts(kind: str, folder: Path, file: Path):
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast import types as feast_types

    from gemel.features.types import TYPES

    address = server()
    online = {
        "sqlite": {"type": "sqlite", "path": str(folder / "online.db")},
        "redis": {"type": "redis", "connection_string": f"{address['host']}:{address['port']},db={address['db']}"},
    }[kind]
    store = FeatureStore(
        config=RepoConfig(
            project=PROJECT,
            provider="local",
            registry=str(folder / f"{kind}.registry.db"),
            online_store=online,
            offline_store={"type": "duckdb"},
            entity_key_serialization_version=3,
        )
    )
    customer = Entity(name="customer", join_keys=["customer"], value_type=ValueType.INT64)
    source = FileSource(path=str(file), timestamp_field="event_timestamp", created_timestamp_column="created_timestamp")
    types = {"customer": "int64"} | FEATURES
    schema = [Field(name=name, dtype=getattr(feast_types, TYPES[type_].feast)) for name, type_ in types.items()]
    store.apply([customer, FeatureView(name="customers", entities=[customer], schema=schema, source=source)])
    return store


def write(who: str, rows: int, kind: str, folder: Path) -> dict[str, float]:
    from gemel.online.loader import materialize

    file = table(folder, rows)
    emptied(kind, folder)
    if who == "gemel":
        store, view = ours(kind, folder, file)
        seconds, cpu = time.perf_counter(), time.process_time()
        materialize(store, [view], end=END, folder=folder)
    else:
        feast = feasts(kind, folder, file)
        seconds, cpu = time.perf_counter(), time.process_time()
        feast.materialize(dt.datetime(1970, 1, 1, tzinfo=dt.UTC), END)
    peak = peak_memory()
    return {"seconds": time.perf_counter() - seconds, "cpu": time.process_time() - cpu, "mb": peak}


def read(who: str, rows: int, kind: str, folder: Path) -> dict[str, float]:
    """Milliseconds at the median. The two take turns, and must answer the same."""
    from gemel.online.reading import read as read_rows

    file = table(folder, rows)
    store, view = ours(kind, folder, file)
    feast = feasts(kind, folder, file)
    asked = [{"customer": number * 97 % rows} for number in range(READ)]
    names = [f"customers:{name}" for name in FEATURES]
    times: dict[str, list[float]] = {"gemel": [], "feast": []}
    for _ in range(TURNS):
        start = time.perf_counter()
        mine = read_rows(store, [(view, list(FEATURES))], asked)
        middle = time.perf_counter()
        theirs = feast.get_online_features(names, asked).to_dict()
        times["feast"].append(time.perf_counter() - middle)
        times["gemel"].append(middle - start)
    for name in FEATURES:
        assert [row and row.values[name] for row in mine] == theirs[name], name
    emptied(kind, folder)
    return {name: 1e3 * sorted(taken)[len(taken) // 2] for name, taken in times.items()}


if __name__ == "__main__":
    task, who, rows, kind, folder = sys.argv[1:]
    print(json.dumps({"write": write, "read": read, "serve": serve}[task](who, int(rows), kind, Path(folder))))
