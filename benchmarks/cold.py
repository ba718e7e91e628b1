"""From the shell, cold: `gemel query` beside `mf query` on the same dbt project, and beside imports it cannot avoid.

Every command is run once unmeasured, with a bytecode cache of its own, so that what counts is starting and not
compiling Python, in both environments alike.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from argparse import Namespace
from pathlib import Path

import duckdb
import generated
import metricflow_client
from report import Report, Table, ratio
from timing import Times, median

ROOT = Path(__file__).parent.parent
PROJECT = (
    "dbt_project.yml",
    "profiles.yml",
    "models",
    "macros",
    "semantic",
    "metrics",
    "data",
    "feature_views",
    "tests/dbt",
)
QUESTION = ["--metrics", "flights,average_departure_delay", "--group-by", "carrier__name,metric_time__month"]
LARGE = "gemel query, 5,000 metrics"
TURNS = {"mf query": 3}
LIMIT = 60

# A child's peak memory counts from what its parent held when it was forked: a small parent in between keeps us out.
CLOCK = """
import json, os, resource, subprocess, sys, time
started = time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
said = child.stderr.read()
_, status, usage = os.wait4(child.pid, 0)
seconds = time.perf_counter() - started
print(json.dumps([status, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, said[-2000:].decode()]))
"""


def measure(options: Namespace) -> Report:
    bin = Path(sys.executable).parent
    commands = {
        "gemel query": [str(bin / "gemel"), "query", *QUESTION],
        "gemel query --explain": [str(bin / "gemel"), "query", "--explain", *QUESTION],
        "python -c 'import duckdb, sqlglot'": [sys.executable, "-c", "import duckdb, sqlglot"],
        "python -c 'import duckdb'": [sys.executable, "-c", "import duckdb"],
        "python -c pass": [sys.executable, "-c", "pass"],
    }
    theirs = metricflow_client.python()
    if theirs:
        commands["mf query"] = [str(Path(theirs).parent / "mf"), "query", *QUESTION]
    with tempfile.TemporaryDirectory(prefix="gemel-bench-", dir=options.temp) as folder:
        commands[LARGE] = [str(bin / "gemel"), "query", *large(Path(folder))]
        project = build_example(Path(folder) / "project")
        environment = os.environ | {"PYTHONPYCACHEPREFIX": str(Path(folder) / "bytecode"), "DBT_PROFILES_DIR": "."}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment["XDG_CACHE_HOME"] = str(Path(folder) / "cache")
        times = {name: Times() for name in commands}
        memory: dict[str, float] = {name: 0.0 for name in commands}
        for turn in range((3 if options.quick else 9) + 1):
            for name, command in commands.items():
                if turn <= TURNS.get(name, turn):
                    wall, cpu, peak = clocked_child(command, project, environment)
                    if turn:
                        times[name].add(wall, cpu)
                        memory[name] = max(memory[name], peak)
                    options.say(f"{name}: {wall:.2f} s, {peak:.0f} MB")
    return report(times, memory)


def large(folder: Path) -> list[str]:
    """A question of a generated project; the unmeasured run keeps what it read."""
    definitions = generated.manifest(5_000 // generated.METRICS_A_MODEL)
    manifest, database = folder / "large.json", folder / "large.duckdb"
    manifest.write_text(json.dumps(definitions))
    with duckdb.connect(str(database)) as connection:
        connection.execute(generated.tables(definitions))
    where = ["--manifest", str(manifest), "--database", str(database)]
    return [*where, "--metrics", "revenue_1,growth_1", "--group-by", "metric_time__month,e0__kind"]


def build_example(project: Path) -> Path:
    """The worked example, copied and built."""
    for name in PROJECT:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, project / name)
        elif source.exists():
            project.mkdir(exist_ok=True)
            shutil.copy2(source, project / name)
    dbt = Path(sys.executable).with_name("dbt")
    environment = os.environ | {"DBT_PROFILES_DIR": ".", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    done = subprocess.run([dbt, "--quiet", "run"], cwd=project, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"dbt run failed in {project}:\n{done.stdout}{done.stderr}")
    return project


def clocked_child(command: list[str], folder: Path, environment: dict[str, str]) -> tuple[float, float, float]:
    """Seconds on the clock, of processors, and the peak of resident memory in MB."""
    clock = [sys.executable, "-I", "-S", "-c", CLOCK, *command]
    done = subprocess.run(clock, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT, check=True)
    status, wall, cpu, peak, said = json.loads(done.stdout)
    if status != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{said}")
    return wall, cpu, peak / 1024


def report(times: dict[str, Times], memory: dict[str, float]) -> Report:
    ours, of_many = times["gemel query"], times[LARGE]
    table = Table(["command", "wall s", "CPU s", "peak MB", "wall / gemel query"])
    for name, each in times.items():
        wall = median(each.wall)
        table.rows.append([name, wall, median(each.cpu), memory[name], ratio(wall, median(ours.wall))])
    imports = times["python -c 'import duckdb, sqlglot'"]
    above = [(median(a) or 0) - (median(b) or 0) for a, b in ((ours.wall, imports.wall), (ours.cpu, imports.cpu))]
    remark = f"Above the two imports, `gemel query` takes {above[0]:.2f} s, or {above[1]:.2f} s of processors"
    more = [(median(a) or 0) - (median(b) or 0) for a, b in ((of_many.wall, imports.wall), (of_many.cpu, imports.cpu))]
    return Report([table, f"{remark}; with 5,000 metrics, {more[0]:.2f} s and {more[1]:.2f} s."])
