"""Training sets on many rows: gemel's, from file to file, beside one query by hand. Rows are equal before time counts.

Each turn is a process of its own, so that its peak of memory can be told.
"""

import json
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import duckdb
from equal import check_order, check_rows
from report import Report, Table, ratio
from timing import clocked, median, peak_memory

from gemel.compiler.names.graph import Graph, bind
from gemel.dbt.semantic.reading import read_manifest
from gemel.engines.connections.duckdb import Warehouse
from gemel.engines.connections.files import Profile
from gemel.features.binding import bind_features
from gemel.features.bound import Bound
from gemel.features.selection import choose
from gemel.run import Runner
from gemel.spec.feature_views import parse_feature_views
from gemel.spec.project import DbtProject
from gemel.training import training_set
from gemel.training.source import Source

THREADS = 2
TURNS = 3
VIEWS = {"lately": (1, 2), "this_month": (7, 14), "this_quarter": (28, 84)}
HOT_KEYS = 5_000

TABLES = """
    create table {view} as
    select i % {keys} as account, timestamp '2024-01-01' + interval (i // {keys} * 7) day as event_timestamp,
      {features}, timestamp '2025-01-01' as created_timestamp
    from range({rows}) as r(i)
"""
EVENTS = """
    create table events as
    select i as event_id, (hash(i) % {keys})::bigint as account,
      timestamp '2024-01-01' + interval (hash(i + 1000000007) % 31536000) second as happened_at,
      (hash(i + 2000000011) % 1000)::int as amount
    from range({rows}) as r(i)
"""
SPINE = """
    copy (
      select i as request, (hash(i + 3000000019) % {keys})::bigint as account,
        timestamp '2024-01-01' + interval (hash(i + 4000000007) % 31536000) second as event_timestamp
      from range({rows}) as r(i)
    ) to '{file}'
"""
SERVED_BY_HAND = """
    copy (
      select spine.*, {features}
      from read_parquet('{spine}') as spine {joins}
    ) to '{out}'
"""
RANGE_JOIN = """
    copy (
      select request, any_value(spine.account) as account, any_value(event_timestamp) as event_timestamp,
        nullif(count(*) filter (where happened_at >= event_timestamp - interval 7 day), 0) as events_7d,
        (sum(amount) filter (where happened_at >= event_timestamp - interval 7 day))::bigint as amount_7d,
        nullif(count(events.account), 0) as events_28d, sum(amount)::bigint as amount_28d
      from read_parquet('{spine}') as spine
      left join events on spine.account = events.account
        and happened_at < event_timestamp and happened_at >= event_timestamp - interval 28 day
      group by request
    ) to '{out}'
"""


def measure(options: Namespace) -> Report:
    rows, requests = (200_000, 50_000) if options.quick else (5_000_000, 1_000_000)
    report = Report([f"{requests:,} requests, DuckDB {duckdb.__version__}, {THREADS} threads; from file to file."])
    table = Table(["training set", "contender", "wall s", "CPU s", "peak MB", "wall / gemel"])
    with tempfile.TemporaryDirectory(prefix="gemel-bench-", dir=options.temp) as name:
        folder = Path(name)
        for what, contender in (("served", "ASOF by hand"), ("exact", "range join")):
            make_tables(folder, what, rows, requests)
            found: dict[str, list[dict[str, float]]] = {"gemel": [], contender: []}
            for turn in range(1 if options.quick else TURNS):
                for who in found:
                    if who != "range join" or turn == 0:  # a minute, and no less the next time
                        found[who].append(run_apart(folder, what, who))
                        options.say(f"{what}, {who}: {found[who][-1]}")
                check_equal(folder, what, *found)
            gemel = median([each["wall"] for each in found["gemel"]])
            for who, turns in found.items():
                wall, cpu, peak = (median([each[key] for each in turns]) for key in ("wall", "cpu", "peak"))
                table.rows.append((told(what, rows), who, wall, cpu, peak, ratio(wall, gemel)))
    report.parts.append(table)
    return report


def told(what: str, rows: int) -> str:
    if what == "served":
        return f"served: 12 features of 3 tables, {rows:,} rows each"
    return f"exact: 4 features of {rows:,} events, {HOT_KEYS:,} keys"


def make_tables(folder: Path, what: str, rows: int, requests: int) -> None:
    keys = max(rows // 50, 1) if what == "served" else HOT_KEYS
    with duckdb.connect(str(folder / f"{what}.duckdb"), config={"threads": THREADS}) as database:
        if what == "served":
            for view, windows in VIEWS.items():
                features = ", ".join(
                    f"(hash(i + {days}) % 1000)::bigint as events_{days}d, (hash(i * {days + 3}) % 9999)::bigint as "
                    f"amount_{days}d"
                    for days in windows
                )
                database.execute(TABLES.format(view=view, keys=keys, rows=rows, features=features))
        else:
            database.execute(EVENTS.format(keys=keys, rows=rows))
        database.execute(SPINE.format(keys=keys, rows=requests, file=folder / f"{what}_spine.parquet"))


def check_equal(folder: Path, what: str, *names: str) -> None:
    """The same rows, in whatever order; gemel's in the order of the spine."""
    one, other = (file_of(folder, what, name) for name in names)
    columns = ", ".join(name for name, *_ in duckdb.sql(f"from '{one}'").description)
    check_rows(what, f"'{one}'", f"'{other}'", columns)
    check_order(what, one, folder / f"{what}_spine.parquet")


def file_of(folder: Path, what: str, who: str) -> Path:
    return folder / f"{what}_{who.replace(' ', '_')}.parquet"


def run_apart(folder: Path, what: str, who: str) -> dict[str, float]:
    ran = subprocess.run([sys.executable, __file__, str(folder), what, who], capture_output=True, text=True, check=True)
    return json.loads(ran.stdout)


# --- in a process of its own --------------------------------------------------------------------------------------


def work_of(folder: Path, what: str, who: str) -> Callable[[], object]:
    spine, out = folder / f"{what}_spine.parquet", file_of(folder, what, who)
    if who == "gemel":
        return lambda: by_gemel(folder, what, spine, out)
    sql = served_by_hand(spine, out) if what == "served" else RANGE_JOIN.format(spine=spine, out=out)

    def work() -> None:
        config = {"threads": THREADS, "temp_directory": str(folder / "spill")}
        with duckdb.connect(str(folder / f"{what}.duckdb"), read_only=True, config=config) as database:
            database.execute(sql)

    return work


def served_by_hand(spine: Path, out: Path) -> str:
    joins = " ".join(
        f"asof left join {view} on spine.account = {view}.account and spine.event_timestamp >= {view}.event_timestamp"
        for view in VIEWS
    )
    features = ", ".join(f"events_{days}d, amount_{days}d" for windows in VIEWS.values() for days in windows)
    return SERVED_BY_HAND.format(features=features, spine=spine, joins=joins, out=out)


def by_gemel(folder: Path, what: str, spine: Path, out: Path) -> None:
    graph, bound = definitions(what)
    types = {view.name: dict.fromkeys(("account", *view.feature_names), "int64") for view in bound.views}
    relations = {view.name: f"bench.main.{view.name}" for view in bound.views}
    profile = Profile("bench", "bench", str(folder / f"{what}.duckdb"), "bench", settings={"threads": str(THREADS)})
    warehouse = Warehouse(profile)
    source = Source(graph, types, relations, warehouse.catalogs(), DbtProject())
    chosen = choose(bound, [view.name for view in bound.views])
    training_set.make(source, chosen, spine, Runner(warehouse).scratch, accuracy=what, out=out)


def definitions(what: str) -> tuple[Graph, Bound]:
    measures = [{"name": "events", "agg": "count", "expr": "1"}, {"name": "amount", "agg": "sum", "expr": "amount"}]
    model = {
        "name": "events",
        "defaults": {"agg_time_dimension": "happened_at"},
        "node_relation": {"alias": "events", "schema_name": "main", "database": "bench"},
        "entities": [{"name": "event", "type": "primary", "expr": "event_id"}, {"name": "account", "type": "foreign"}],
        "dimensions": [{"name": "happened_at", "type": "time", "type_params": {"time_granularity": "second"}}],
        "measures": measures,
    }
    metrics = [{"name": m["name"], "type": "simple", "type_params": {"measure": {"name": m["name"]}}} for m in measures]
    graph = bind(read_manifest({"semantic_models": [model], "metrics": metrics}))
    views = VIEWS if what == "served" else {"exactly": (7, 28)}
    text = "feature_views:\n"
    for view, (short, long) in views.items():
        text += f"  - name: {view}\n    entity: account\n    schedule: day\n    features:\n"
        text += "".join(f"      - {{metric: {m['name']}, windows: [{short} days, {long} days]}}\n" for m in measures)
    return graph, bind_features(graph, parse_feature_views([("views.yml", text)]))


if __name__ == "__main__":
    work = work_of(Path(sys.argv[1]), *sys.argv[2:4])
    wall, cpu = clocked(work)
    print(json.dumps({"wall": wall, "cpu": cpu, "peak": peak_memory()}))
