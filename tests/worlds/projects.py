"""dbt projects in folders: written, copied, and made once for all processes of a session."""

import fcntl
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from textwrap import dedent

import pytest

from gemel.cli import main
from worlds import warm_dbt

ROOT = Path(__file__).parents[2]
EXAMPLE = ("dbt_project.yml", "profiles.yml", "models", "macros", "semantic", "metrics", "feature_views")


def write_project(root: Path, files: Mapping[str, str]) -> Path:
    """`files` are texts by path, indented as it pleases."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(dedent(text).lstrip())
    return root


def copy_example(root: Path, parts: Iterable[str] = EXAMPLE) -> Path:
    """The worked example, or some of it, without the data that Feast reads and writes."""
    root.mkdir(parents=True, exist_ok=True)
    for name in parts:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name, ignore=without_feasts_data)
        else:
            shutil.copy2(ROOT / name, root / name)
    return root


def without_feasts_data(folder: str, names: list[str]) -> list[str]:
    return names if Path(folder) == ROOT / "feature_views" / "data" else []


def run_dbt(root: Path, *arguments: str) -> None:
    """dbt, as a user has it run in the project."""
    command = [sys.executable, "-c", "from dbt.cli.main import cli; cli()", *arguments]
    done = warm_dbt.run(command, cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr


def run_captured(*arguments: str) -> tuple[int, str, str]:
    """`gemel` in the working directory, where no test captures yet: exit code, stdout, stderr."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        code = main(arguments)
    return code, out.getvalue(), err.getvalue()


def make_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder that `make` fills, once in a session; pytest-xdist's processes share it. A test that changes it takes
    a copy: one by `shutil.copytree` is as fresh as its original, so that nothing is parsed again."""
    base = factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, complete = base / name, base / f"{name}.complete"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            complete.touch()
    return folder
