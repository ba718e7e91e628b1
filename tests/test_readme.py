"""The README, as a newcomer follows it: its sessions show on a terminal what it says they show."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sessions import matches, on_terminal, shown_sessions
from worlds.projects import ROOT, run_captured, run_dbt

README = (ROOT / "README.md").read_text()
SESSIONS = shown_sessions(README)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This repository's files in a repository of their own, with the worked example built."""
    folder = tmp_path_factory.mktemp("clone") / "gemel"
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    for name in subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0"):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/gemel").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m gemel "$@"\n')
    (folder / ".venv/bin/gemel").chmod(0o755)
    for words in ("init -qb main", "add -A", "-c user.name=Ada -c user.email=ada@example.com commit -qm example"):
        subprocess.run(["git", *words.split()], cwd=folder, check=True)
    code, written = on_terminal([".venv/bin/gemel", "build", "--moments", "1"], folder)
    assert code == 0, written
    return folder


def test_the_sessions_are_found():
    assert [command.split()[0] for command, _ in SESSIONS].count(".venv/bin/gemel") == 9


@pytest.mark.parametrize(("command", "shown"), SESSIONS, ids=[command.split("#")[0][:60] for command, _ in SESSIONS])
def test_a_session_of_the_readme_runs_as_shown(clone, command, shown):
    _, written = on_terminal(["bash", "-c", command], clone)
    assert matches(shown, written), written


def test_only_the_edit_of_a_session_is_a_change_for_git(clone):
    status = subprocess.run(["git", "status", "--short"], cwd=clone, check=True, capture_output=True, text=True)
    assert status.stdout.split() == ["M", "models/marts/flights.sql"]


def test_the_five_minutes_on_a_project_of_ones_own(tmp_path, monkeypatch):
    shop = tmp_path / "shop"
    shutil.copytree(ROOT / "docs/shop", shop, ignore=shutil.ignore_patterns("target", "*.duckdb", "logs"))
    run_dbt(shop, "build", "--quiet", "--profiles-dir", ".")
    monkeypatch.chdir(shop)
    own = README[README.index("## On your own dbt project") :]
    commands = [line.strip() for line in own.splitlines() if line.startswith("       gemel ")]
    assert commands[:2] == ["gemel validate", "gemel list metrics"] and len(commands) >= 3
    for command in commands[:3]:
        code, out, err = run_captured(*shlex.split(command)[1:])
        assert code == 0 and out + err, err
