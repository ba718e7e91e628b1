"""The process `gemel`: it ends without Python's last look for garbage, and nothing is lost by that."""

import subprocess
import sys
from pathlib import Path

import pytest

PROCESS = """
import atexit, sys, threading, time
import gemel.__main__ as process
atexit.register(lambda: print("at exit"))
def main():
    sys.stdout.write("text without a line end ")
    {doing}
    return {code}
process.main = main
process.run()
"""


def run(code, doing="pass"):
    script = PROCESS.format(code=code, doing=doing)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("code", [0, 1, 2, 130])
def test_the_exit_code_and_all_that_was_written_come_out(code):
    ran = run(code)
    assert (ran.returncode, ran.stdout, ran.stderr) == (code, "text without a line end at exit\n", "")


def test_a_thread_that_still_works_is_waited_for():
    work = "threading.Thread(target=lambda: (time.sleep(0.2), print('done,', end=' '))).start()"
    ran = run(0, work)
    assert (ran.returncode, ran.stdout) == (0, "text without a line end done, at exit\n")


def test_a_query_that_cannot_be_stopped_is_not_waited_for():
    left = "thread = threading.Thread(target=time.sleep, args=[60], daemon=True); thread.start();"
    ran = run(1, f"{left} atexit.register(thread.join)")
    assert (ran.returncode, ran.stdout) == (1, "text without a line end ")


def test_what_is_in_memory_is_not_looked_through():
    """An object that no one refers to but itself would be found at the end, and say so."""
    circle = "each = type('Circle', (), {'__del__': lambda self: print('found')})(); each.self = each"
    ran = run(0, circle)
    assert ran.stdout == "text without a line end at exit\n"


def test_the_command_is_this_process():
    for command in ([sys.executable, "-m", "gemel"], [str(Path(sys.executable).with_name("gemel"))]):
        ran = subprocess.run([*command, "quer"], capture_output=True, text=True, check=False)
        assert ran.returncode == 2
        assert "No such command 'quer'" in ran.stderr
