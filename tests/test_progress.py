"""How far long work is, as it reports it, and as a terminal shows it."""

import json
import os
import re
import sys

from gemel.dbt.events import read_event, run_reporting
from gemel.progress import Task, is_heard, listening, task, track
from sessions import on_terminal


def test_work_without_a_listener_is_only_done():
    assert not is_heard()
    assert list(track([1, 2], "adding")) == [1, 2]


def test_a_listener_sees_each_piece_within_the_other():
    with listening() as tasks, task("build"):
        seen = [
            [(each.what, each.done, each.total) for each in tasks]
            for _ in track(["a", "b"], "verify", lambda name: name)
        ]
        assert seen == [
            [("build", 0, None), ("verify a", 0, 2)],
            [("build", 0, None), ("verify b", 1, 2)],
        ]
        assert [each.what for each in tasks] == ["build"]
    assert not tasks and not is_heard()


def event(level, **data):
    return json.dumps({"data": data, "info": {"level": level, "msg": "m"}})


def test_dbts_nodes_are_counted():
    dbt = Task("dbt build")
    assert read_event(event("info", index=1, total=2, description="model flights"), dbt, "dbt build")
    assert (dbt.what, dbt.done, dbt.total) == ("dbt build: model flights", 0, 2)
    assert read_event(event("info", index=1, total=2, execution_time=0.5), dbt, "dbt build")
    assert (dbt.done, dbt.total) == (1, 2)
    assert not read_event(event("error", msg="no such column"), dbt, "dbt build")
    assert not read_event("a traceback", dbt, "dbt build")


def test_only_dbts_errors_are_kept(tmp_path):
    lines = [
        event("info", index=1, total=2, description="model flights"),
        event("info", index=1, total=2, execution_time=0.5),
        event("error", msg="no such column"),
        "a traceback",
    ]
    program = f"import sys; print({chr(10).join(lines)!r}); print('warned', file=sys.stderr); sys.exit(2)"
    with listening():
        ran = run_reporting([sys.executable, "-c", program], cwd=tmp_path, env=dict(os.environ), what="dbt build")
    assert ran.returncode == 2 and ran.stderr == "warned\n"
    assert ran.stdout.splitlines() == lines[2:]


def test_a_terminal_shows_what_is_done_and_what_is_left_and_then_nothing(tmp_path):
    program = (
        "import time, sys, gemel.cli.progress as shown\n"
        "from gemel.progress import track\n"
        "shown.AFTER = 0.1\n"
        "with shown.waiting('build'):\n"
        "    for view in track(['one', 'two', 'three'], 'verify', str):\n"
        "        time.sleep(0.7)\n"
        "        print(f'{view} is equal', file=sys.stderr)\n"
        "print('done')\n"
    )
    code, written = on_terminal([sys.executable, "-c", program], tmp_path)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written)
    assert code == 0
    assert "verify two" in plain and "1 of 3" in plain and "Ctrl-C stops it" in plain
    assert [line for line in plain.splitlines() if line.rstrip().endswith("is equal")]
    assert plain.rstrip().endswith("done")


def test_a_pipe_gets_no_bars_and_rich_is_not_imported(capfd):
    import gemel.cli.progress as shown

    with shown.waiting("build"):
        assert not is_heard()
    assert capfd.readouterr() == ("", "")
