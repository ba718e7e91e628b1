"""`gemel build` killed at any of its steps and run again, and two materializations at once: always the same outcome."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest

from worlds.projects import write_project
from worlds.sales_project import FILES

# What foreign libraries warn of, now and when their objects are collected, is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore")

VIEWS = ("buying", "visiting")
# What is there when a step has begun, in the order of the steps. A build is killed as soon as it is.
SIGNS = (
    "target/run/shop/models/features/buying.sql",
    "feature_views/data/buying.parquet",
    "feature_views/data/registry.home",
    "feature_views/data/registry.db",
    "feature_views/data/online_store.db",
)


def start(root, *arguments):
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    command = [sys.executable, "-m", "gemel", *arguments]
    return subprocess.Popen(command, cwd=root, start_new_session=True, **quiet)


def finish(process):
    _, output = process.communicate(timeout=300)
    assert process.returncode == 0, output


def kill_at(root, sign, process):
    """Kill a process and its children with SIGKILL, once a file is there."""
    while not (root / sign).exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return process.returncode


def state(root):
    """Every row of the feature tables, and all that is online."""
    rows = {}
    with duckdb.connect(str(root / "shop.duckdb"), read_only=True) as con:
        for view in VIEWS:
            for place in (view, f"'{root / 'feature_views/data' / view}.parquet'"):
                content = con.execute(f"select * exclude created_timestamp from {place} order by all").fetchall()
                rows[place.rpartition("/")[2]] = content
    store = sqlite3.connect(root / "feature_views/data/online_store.db")
    for view in VIEWS:
        names = "entity_key, feature_name, value, event_ts"
        rows[f"online {view}"] = sorted(store.execute(f"select {names} from shop_{view}").fetchall())
    store.close()
    return rows


def test_a_build_that_is_killed_at_any_step_and_run_again_comes_to_the_same(built_sales, tmp_path):
    killed = write_project(tmp_path / "killed", FILES)
    for sign in SIGNS:
        assert kill_at(killed, sign, start(killed, "build")) == -signal.SIGKILL
    finish(start(killed, "build"))
    wanted = state(built_sales / "as_built")
    assert all(wanted.values())
    assert state(killed) == wanted

    # Two at once, of which one may have to wait: the same once more, from nothing and on top of what is there.
    store = killed / "feature_views/data/online_store.db"
    for _ in range(2):
        both = [start(killed, "features", "materialize") for _ in range(2)]
        for process in both:
            finish(process)
        assert state(killed) == wanted
        store.unlink(missing_ok=True)
    finish(start(killed, "features", "materialize"))
    assert state(killed) == wanted


@pytest.mark.parametrize("command", ["generate", "training-set"])
def test_a_command_that_is_killed_at_a_random_moment_leaves_nothing_after_the_next_run(
    built_sales, tmp_path, command, monkeypatch
):
    """`benchmarks/kill_trials.py` tries each command a hundred times."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import kill_trials

    dice = random.Random(7)
    assert kill_trials.try_command(command, built_sales / "as_built", tmp_path, times=2, dice=dice) == 0
