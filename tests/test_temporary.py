"""Temporary folders and files beside outputs: private, and nothing stays of a killed process."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gemel.temporary import TemporaryFolder, temporary_folder
from gemel.whole_files import replace_when_complete, write_text


@pytest.fixture
def temp(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def run_until_killed(script, *arguments):
    """A process that is killed as soon as it prints a line."""
    pipes = {"stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", script, *map(str, arguments)], **pipes) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def test_a_folder_is_the_users_alone_and_disappears(temp):
    with temporary_folder() as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "x").mkdir()
    assert list(temp.iterdir()) == []


LEAVING = """
import sys, tempfile, time
tempfile.tempdir = sys.argv[1]
from gemel.temporary import TemporaryFolder
folder = TemporaryFolder()
(folder.path / "profiles.yml").write_text("password")
print("begun", flush=True)
time.sleep(60)
"""


def test_the_folder_of_a_killed_process_is_removed_by_the_next_and_that_of_a_living_one_is_not(temp):
    living = TemporaryFolder()
    run_until_killed(LEAVING, temp)
    assert len(list(temp.iterdir())) == 2
    with temporary_folder() as folder:
        assert sorted(temp.iterdir()) == sorted([living.path, folder])
    living.close()
    assert list(temp.iterdir()) == []


def test_a_process_that_closes_nothing_leaves_nothing_and_its_fork_takes_nothing_away(temp):
    script = """
import os, sys, tempfile
tempfile.tempdir = sys.argv[1]
from gemel.temporary import TemporaryFolder
folder = TemporaryFolder()
if os.fork() == 0:
    sys.exit()
os.wait()
assert folder.path.is_dir()
"""
    subprocess.run([sys.executable, "-c", script, str(temp)], check=True)
    assert list(temp.iterdir()) == []


def test_folders_that_disappear_while_others_look_for_leftovers_do_no_harm(temp):
    """Each looks at the folders of all others, which come and go meanwhile."""

    def open_and_close(_):
        for _ in range(50):
            TemporaryFolder().close()

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(open_and_close, range(8))) == [None] * 8
    assert list(temp.iterdir()) == []


def test_the_folders_of_others_are_left_alone(temp):
    for name in ("gemel-without-a-lock", "others"):
        (temp / name).mkdir()
    with temporary_folder():
        pass
    assert sorted(each.name for each in temp.iterdir()) == ["gemel-without-a-lock", "others"]
    os.utime(temp / "gemel-without-a-lock", (0, 0))
    with temporary_folder():
        pass
    assert [each.name for each in temp.iterdir()] == ["others"]


WRITING = """
import sys, time
from pathlib import Path
from gemel.whole_files import replace_when_complete
with replace_when_complete(Path(sys.argv[1])) as name:
    Path(name).write_text("half")
    print("begun", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_process_wrote_beside_a_file_is_gone_after_the_next_run(tmp_path):
    out = tmp_path / "rows.csv"
    out.write_text("old")
    run_until_killed(WRITING, out)
    assert out.read_text() == "old"
    write_text(out, "new")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("rows.csv", "new")]


def test_threads_that_write_one_file_leave_one_of_their_texts_and_nothing_else(tmp_path):
    out = tmp_path / "rows.csv"
    texts = [f"{n}" * 5000 for n in range(200)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda text: write_text(out, text), texts))
    assert list(tmp_path.iterdir()) == [out]
    assert out.read_text() in texts


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path):
    out = tmp_path / "rows.csv"
    out.write_text("old")
    with pytest.raises(ZeroDivisionError), replace_when_complete(out) as name:
        Path(name).write_text("half")
        raise ZeroDivisionError
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("rows.csv", "old")]
