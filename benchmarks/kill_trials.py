"""Commands that are killed at random moments, and run once more: whether that mends everything, and nothing is left.

    .venv/bin/python benchmarks/kill_trials.py                                  # 100 of each command; hours
    .venv/bin/python benchmarks/kill_trials.py --times 5 generate training-set

A trial takes a copy of a small project, starts the command, and kills it and its children with SIGKILL after a random
time. Then the command runs to its end. Feature tables, online store, training set and generated files must be those of
a run that nobody killed, and neither the project nor the folder of temporary files may hold a file that such a run does
not leave. The exit code is 1 if a trial fails.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from worlds.projects import write_project
from worlds.sales_project import FILES

SPINE = "select 'a' as customer, 10 as shop, timestamp '2024-01-05' as event_timestamp from range(200000)"
OUT = "churn.parquet"
COMMANDS: dict[str, list[str]] = {
    "build": ["build"],
    "generate": ["generate"],
    "apply": ["features", "apply"],
    "materialize": ["features", "materialize"],
    "training-set": ["training-set", "churn_v1", "--spine", SPINE, "--accuracy", "exact", "--out", OUT],
}
GENERATED = ("models/features", "feature_views", "models/bi", "models/exposures")
UNTIMED = ("target/", "logs/", ".user.yml", "__pycache__", ".duckdb.wal")


def main() -> int:
    """Every command that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commands", nargs="*", default=list(COMMANDS), metavar="COMMAND", help=", ".join(COMMANDS))
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    dice, failures = random.Random(options.seed), 0
    with tempfile.TemporaryDirectory() as folder:
        built = build(Path(folder))
        for name in options.commands:
            failures += try_command(name, built, Path(folder), times=options.times, dice=dice)
    return 1 if failures else 0


def build(folder: Path) -> Path:
    """The project after a build that nobody killed."""
    root = write_project(folder / "built", FILES)
    finish(root, COMMANDS["build"], folder / "temp")
    return root


def try_command(name: str, built: Path, folder: Path, *, times: int, dice: random.Random) -> int:
    """All trials of one command. Returns the number of those that failed."""
    temp = folder / "temp"
    model = fresh(built, folder / "model", name)
    started = time.monotonic()
    finish(model, COMMANDS[name], temp)
    seconds = time.monotonic() - started
    expected, names = state(model), files(model)
    killed = failures = 0
    for number in range(times):
        root = fresh(built, folder / "trial", name)
        after = dice.uniform(0, seconds)
        killed += kill(start(root, COMMANDS[name], temp), after)
        problems = mend(root, name, temp)
        if not problems:
            problems += [f"{each} is not as it was" for each, value in state(root).items() if value != expected[each]]
            problems += [f"{each} is left" for each in sorted(files(root) - names)]
            problems += [f"{each} is missing" for each in sorted(names - files(root))]
            problems += [f"{each.name} is left in the temporary folder" for each in temp.iterdir()]
        failures += bool(problems)
        for problem in problems:
            print(f"{name} {number}, killed after {after:.2f} s: {problem}", flush=True)
        for each in temp.iterdir():
            shutil.rmtree(each) if each.is_dir() else each.unlink()
    print(
        f"{name}: {times} trials, {killed} killed within {seconds:.1f} s and {times - killed} ended before, "
        f"{failures} failed",
        flush=True,
    )
    return failures


def fresh(built: Path, root: Path, name: str) -> Path:
    """A copy of the built project without what the command is to make."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(built, root)
    data = root / "feature_views/data"
    match name:
        case "build":
            shutil.rmtree(root)
            write_project(root, FILES)
        case "generate":
            shutil.rmtree(root / "models/features")
            for each in (root / "feature_views").glob("*.py"):
                each.unlink()
        case "apply":
            (data / "registry.db").unlink()
        case "materialize":
            (data / "online_store.db").unlink()
    if name not in ("build", "apply"):  # the registry is of the folder from which it was copied
        finish(root, COMMANDS["apply"], root.parent / "temp") if name == "materialize" else None
    return root


def start(root: Path, arguments: list[str], temp: Path) -> "subprocess.Popen[str]":
    temp.mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(temp)}
    return subprocess.Popen(
        [sys.executable, "-m", "gemel", *arguments],
        cwd=root,
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill(process: "subprocess.Popen[str]", seconds: float) -> bool:
    """Kill the process and its children. Returns whether it was still running."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=seconds)
        return False
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return True


def finish(root: Path, arguments: list[str], temp: Path) -> None:
    """Run the command to its end. Raises RuntimeError with its messages if it fails."""
    process = start(root, arguments, temp)
    _, errors = process.communicate(timeout=600)
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode}: {errors.strip()[-500:]}")


def mend(root: Path, name: str, temp: Path) -> list[str]:
    try:
        finish(root, COMMANDS[name], temp)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        return [f"the next run ends with {error}"]
    return []


def state(root: Path) -> dict[str, Any]:
    """The rows of feature tables, online store and training set, and the texts of generated files."""
    rows: dict[str, Any] = {}
    with duckdb.connect(str(root / "shop.duckdb"), read_only=True) as connection:
        for view in ("buying", "visiting"):
            for table in (view, f"'{root}/feature_views/data/{view}.parquet'"):
                query = f"select * exclude created_timestamp from {table} order by all"
                rows[f"{view} {table == view}"] = connection.execute(query).fetchall()
        if (root / OUT).exists():
            rows[OUT] = connection.execute(f"select count(*), sum(hash(t)) from '{root / OUT}' as t").fetchall()
    if (root / "feature_views/data/online_store.db").exists():
        with contextlib.closing(sqlite3.connect(root / "feature_views/data/online_store.db")) as store:
            for view in ("buying", "visiting"):
                query = f"select entity_key, feature_name, value, event_ts from shop_{view}"
                rows[f"online {view}"] = sorted(store.execute(query).fetchall())
    for name in files(root):
        if name.startswith(GENERATED) and name.endswith((".sql", ".yml", ".py")):
            rows[name] = (root / name).read_text()
    return rows


def files(root: Path) -> set[str]:
    """Every file of the project but dbt's own artifacts."""
    names = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    return {name for name in names if not any(each in name for each in UNTIMED)}


if __name__ == "__main__":
    sys.exit(main())
