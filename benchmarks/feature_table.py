"""A feature table of five metrics over three windows: the SQL of its dbt model beside SQL by hand. Rows are equal.

Each turn is a process of its own, that makes the table in a DuckDB file as dbt would.
"""

import json
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import duckdb
from equal import check_rows
from report import Report, Table, ratio
from sqlglot import exp
from timing import clocked, median, peak_memory

from gemel.compiler.features.moments import cast_features, plan_features
from gemel.compiler.names.graph import Graph, bind
from gemel.compiler.plan import rewrites
from gemel.compiler.sql import dialects, lowering
from gemel.dbt.semantic.reading import read_manifest
from gemel.engines.duckdb import DUCKDB
from gemel.features.binding import bind_features
from gemel.features.bound import BoundView
from gemel.spec.feature_views import parse_feature_views

THREADS = 2
TURNS = 3
WINDOWS = (7, 28, 84)
KEYS = 20_000
UNTIL = "2025-01-01"

# In order of time, as facts come in.
FACTS = """
    create table sales as
    select i as sale_id, (hash(i) % {keys})::bigint as account,
      timestamp '2024-01-01' + interval (i * 31536000 // {rows}) second as happened_at,
      (hash(i + 2000000011) % 10000)::int as amount, hash(i + 3000000019) % 10 < 3 as is_late
    from range({rows}) as r(i)
"""
METRICS = ("sales", "amount", "largest", "average_amount", "late_rate")


def measure(options: Namespace) -> Report:
    rows, keys = (200_000, 500) if options.quick else (20_000_000, KEYS)
    table = Table(["SQL", "wall s", "CPU s", "peak MB", "wall / by hand", "CPU / by hand"])
    contenders = {"gemel": generated(), "by hand": by_hand()}
    with tempfile.TemporaryDirectory(prefix="gemel-bench-", dir=options.temp) as name:
        file = Path(name) / "sales.duckdb"
        with duckdb.connect(str(file), config={"threads": THREADS}) as database:
            database.execute(FACTS.format(rows=rows, keys=keys))
        found: dict[str, list[dict[str, float]]] = {who: [] for who in contenders}
        for turn in range(1 if options.quick else TURNS):
            for who, turns in found.items():
                turns.append(run_apart(file, who, contenders[who]))
                options.say(f"{who}: {turns[-1]}")
            if turn == 0:
                check_equal(file)
        middle = {
            who: [median([turn[key] for turn in turns]) for key in ("wall", "cpu", "peak")]
            for who, turns in found.items()
        }
        made = int(found["gemel"][0]["rows"])
    hand = middle["by hand"]
    for who, (wall, cpu, peak) in middle.items():
        table.rows.append((who, wall, cpu, peak, ratio(wall, hand[0]), ratio(cpu, hand[1])))
    told = f"{rows:,} facts of {keys:,} keys in a year; windows of {', '.join(map(str, WINDOWS))} days, {made:,} rows."
    return Report([told, table])


def generated() -> str:
    """What dbt runs for the view, at a fixed end of time."""
    graph, view = bound_view()
    types = {name: "DOUBLE" if name.startswith(("average", "late_rate")) else "BIGINT"
             for name in view.feature_names}  # fmt: skip
    types |= {name: "BIGINT" for name in types if name.endswith(("numerator", "denominator"))}
    until = exp.cast(exp.Literal.string(UNTIL), exp.DataType.Type.TIMESTAMP)
    plan = rewrites.tidy(cast_features(plan_features(graph, view, until=until), types))
    return dialects.speak(lowering.lower(plan, dialects.named()), DUCKDB)


def bound_view(settings: Sequence[str] = (), days: Sequence[int] = WINDOWS) -> tuple[Graph, BoundView]:
    """The view, with more of its settings, such as `lookback: 3 days`."""
    measures = [
        {"name": "sales", "agg": "count", "expr": "1"},
        {"name": "amount", "agg": "sum", "expr": "amount"},
        {"name": "largest", "agg": "max", "expr": "amount"},
        {"name": "average_amount", "agg": "average", "expr": "amount"},
        {"name": "late_sales", "agg": "sum_boolean", "expr": "is_late"},
    ]
    model = {
        "name": "sales",
        "defaults": {"agg_time_dimension": "happened_at"},
        "node_relation": {"alias": "sales", "schema_name": "main", "database": "sales"},
        "entities": [{"name": "sale", "type": "primary", "expr": "sale_id"}, {"name": "account", "type": "foreign"}],
        "dimensions": [{"name": "happened_at", "type": "time", "type_params": {"time_granularity": "second"}}],
        "measures": measures,
    }
    metrics = [{"name": m["name"], "type": "simple", "type_params": {"measure": {"name": m["name"]}}} for m in measures]
    sides = {"numerator": {"name": "late_sales"}, "denominator": {"name": "sales"}}
    metrics.append({"name": "late_rate", "type": "ratio", "type_params": sides})
    graph = bind(read_manifest({"semantic_models": [model], "metrics": metrics}))
    windows = ", ".join(f"{count} days" for count in days)
    text = "feature_views:\n  - name: selling\n    entity: account\n    schedule: day\n"
    text += "".join(f"    {setting}\n" for setting in settings) + "    features:\n"
    text += "".join(f"      - {{metric: {name}, windows: [{windows}]}}\n" for name in METRICS)
    [view] = bind_features(graph, parse_feature_views([("views.yml", text)])).views
    return graph, view


def by_hand() -> str:
    """Sums by day, a row without any wherever a day leaves a window, and windows over both."""
    left = " ".join(
        f"union all select account, seen + interval {days} day, null, null, null, null, null from daily"
        for days in WINDOWS
    )
    features = ",\n".join(
        f"""
        (sum(sales) over last_{days})::bigint as sales_{days}d,
        (sum(amount) over last_{days})::bigint as amount_{days}d,
        (max(largest) over last_{days})::bigint as largest_{days}d,
        (sum(amount) over last_{days}) / nullif(sum(amounts) over last_{days}, 0) as average_amount_{days}d,
        (sum(late) over last_{days}) / nullif(sum(sales) over last_{days}, 0) as late_rate_{days}d,
        (sum(late) over last_{days})::bigint as late_rate_{days}d__numerator,
        (sum(sales) over last_{days})::bigint as late_rate_{days}d__denominator"""
        for days in WINDOWS
    )
    windows = ",\n".join(
        f"last_{days} as (partition by account order by seen range between interval {days - 1} day preceding "
        "and current row)"
        for days in WINDOWS
    )
    return f"""
        with daily as (
          select account, date_trunc('day', happened_at) + interval 1 day as seen, count(*) as sales,
            sum(amount) as amount, max(amount) as largest, count(amount) as amounts,
            count(*) filter (is_late) as late
          from sales
          where account is not null and happened_at < '{UNTIL}'
          group by all
        ), days as (
          select account, seen, any_value(sales) as sales, any_value(amount) as amount, any_value(largest) as largest,
            any_value(amounts) as amounts, any_value(late) as late
          from (from daily {left})
          where seen <= '{UNTIL}'
          group by all
        )
        select account, seen as event_timestamp, {features}
        from days
        window {windows}
    """


def check_equal(file: Path) -> None:
    with duckdb.connect() as database:
        database.execute(f"attach '{file}' as made (read_only)")
        columns = [name for name, *_ in database.sql("from made.gemel").description]
        for name in ("gemel", "by_hand"):
            database.execute(f"copy made.{name} to '{file.with_name(name)}.parquet'")
    check_rows("feature table", *(f"'{file.with_name(name)}.parquet'" for name in ("gemel", "by_hand")),
               columns=", ".join(columns))  # fmt: skip


def run_apart(file: Path, who: str, sql: str) -> dict[str, float]:
    words = [sys.executable, __file__, str(file), who.replace(" ", "_"), sql]
    ran = subprocess.run(words, capture_output=True, text=True)
    if ran.returncode:
        raise RuntimeError(ran.stderr[-2000:])
    answer: dict[str, float] = json.loads(ran.stdout)
    return answer


# --- in a process of its own --------------------------------------------------------------------------------------


def make(file: Path, name: str, sql: str) -> dict[str, float]:
    config = {"threads": THREADS, "temp_directory": str(file.parent / "spill")}
    with duckdb.connect(str(file), config=config) as database:
        wall, cpu = clocked(lambda: database.execute(f"create or replace table {name} as {sql}"))
        [(rows,)] = database.execute(f"select count(*) from {name}").fetchall()
    return {"wall": wall, "cpu": cpu, "peak": peak_memory(), "rows": rows}


if __name__ == "__main__":
    print(json.dumps(make(Path(sys.argv[1]), *sys.argv[2:4])))
