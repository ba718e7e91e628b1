"""One day more of a feature table with a lookback: with and without detection of older changes, beside a whole build.

Each build is the hook and the SQL of the dbt model, in one transaction, which is then rolled back for the next turn.
"""

import datetime as dt
import tempfile
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import jinja2
from feature_table import FACTS, KEYS, THREADS, WINDOWS, bound_view
from report import Report, Table, ratio
from timing import clocked, median

from gemel.features.tables import Tables
from gemel.spec.project import DbtProject

TURNS = 3
ROWS = 1_000_000
SHORT = (1, 7)
BLIND, WHOLE = "a day, `detect: false`", "the whole table"
YESTERDAY, TODAY = "2024-12-31 00:00:00", "2025-01-01 00:00:00"
CORRECTED = "update sales set amount = amount + 1 where sale_id = (select max(sale_id) from sales where happened_at < "


class Relation:
    """dbt's `this`."""

    identifier = "selling"

    def incorporate(self, path: dict[str, str]) -> str:
        return path["identifier"]

    def __str__(self) -> str:
        return self.identifier


def measure(options: Namespace) -> Report:
    rows, keys = (200_000, 500) if options.quick else (ROWS, KEYS)
    table = Table(["windows of days", "build", "wall s", "CPU s", "CPU / `detect: false`", "CPU / the whole table"])
    for windows in (SHORT, WINDOWS):
        found = measure_builds(options, windows, rows=rows, keys=keys)
        middle = {
            who: (median([wall for wall, _ in turns]), median([cpu for _, cpu in turns]))
            for who, turns in found.items()
        }
        least, whole = middle[BLIND], middle[WHOLE]
        for who, (wall, cpu) in middle.items():
            shown = ", ".join(map(str, windows))
            table.rows.append((shown, who, wall, cpu, ratio(cpu, least[1]), ratio(cpu, whole[1])))
    return Report([f"{rows:,} facts of {keys:,} keys in a year, of which the last day is new.", table])


def measure_builds(
    options: Namespace, windows: Sequence[int], *, rows: int, keys: int
) -> dict[str, list[tuple[float, float]]]:
    """Seconds on the clock and of processors of each build, by its name."""
    blind, seeing = model(windows, "lookback: 3 days", "detect: false"), model(windows, "lookback: 3 days")
    with tempfile.TemporaryDirectory(prefix="gemel-bench-", dir=options.temp) as name:
        config = {"threads": THREADS, "temp_directory": str(Path(name) / "spill")}
        with duckdb.connect(str(Path(name) / "sales.duckdb"), config=config) as database:
            database.execute(FACTS.format(rows=rows, keys=keys))
            build(database, seeing, YESTERDAY, there=False)
            month, year = ("2024-12-02", "2024-01-02")
            contenders: dict[str, Callable[[], object]] = {
                BLIND: lambda: build(database, blind, TODAY),
                "a day": lambda: build(database, seeing, TODAY),
                "a day, a fact of 30 days ago": lambda: build(database, seeing, TODAY, corrected=month),
                "a day, a fact of a year ago": lambda: build(database, seeing, TODAY, corrected=year),
                WHOLE: lambda: build(database, seeing, TODAY, there=False),
            }
            found: dict[str, list[tuple[float, float]]] = {who: [] for who in contenders}
            for _ in range(1 if options.quick else TURNS):
                for who, work in contenders.items():
                    database.begin()
                    found[who].append(clocked(work))
                    database.rollback()
                    options.say(f"{windows} {who}: {found[who][-1]}")
    return found


def model(windows: Sequence[int], *settings: str) -> str:
    graph, view = bound_view(settings, windows)
    types = {name: "float64" if name.startswith(("average", "late_rate")) else "int64" for name in view.feature_names}
    types |= {name: "int64" for name in types if name.endswith(("numerator", "denominator"))}
    return Tables(graph).model(view, {"account": "int64", **types}, dbt=DbtProject())


def build(
    database: duckdb.DuckDBPyConnection, text: str, until: str, *, there: bool = True, corrected: str | None = None
) -> None:
    """What dbt does, without the Parquet copy. `there` is whether the table is: otherwise it is built whole."""
    if corrected:
        database.execute(f"{CORRECTED}'{corrected}')")
    hooks: dict[str, str] = {}

    def render(template: str) -> str:
        words: dict[str, Any] = {
            "config": lambda **given: hooks.update(given) or "",
            "ref": lambda name: name,
            "var": lambda name, default: until if name == "gemel_until" else default,
            "run_started_at": dt.datetime(2025, 1, 2),
            "is_incremental": lambda: there,
            "this": Relation(),
            "adapter": SimpleNamespace(get_columns_in_relation=lambda relation: [SimpleNamespace(name="definition")]),
        }
        return jinja2.Template(template).render(words)

    sql = render(text)
    database.execute(render(hooks["pre_hook"]))
    database.execute(f"insert into selling by name {sql}" if there else f"create or replace table selling as {sql}")
