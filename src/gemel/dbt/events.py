"""dbt's events, as it writes them: how many nodes of a run are done."""

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from gemel.progress import Task, task


def run_reporting(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], what: str
) -> subprocess.CompletedProcess[str]:
    """Run dbt with a log of JSON at level info, and report its nodes. The output has only its errors."""
    errors: list[str] = []
    with tempfile.TemporaryFile("w+") as stderr, task(what) as current:
        with subprocess.Popen(
            command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=stderr, text=True, errors="replace"
        ) as process:
            assert process.stdout is not None
            errors += [line for line in process.stdout if not read_event(line, current, what)]
        stderr.seek(0)
        return subprocess.CompletedProcess(command, process.returncode, "".join(errors), stderr.read())


def read_event(line: str, current: Task, what: str) -> bool:
    """Whether a line is no error. A node that begins or ends changes the task."""
    try:
        event = json.loads(line)
        data, level = event["data"], event["info"]["level"]
    except (ValueError, KeyError, TypeError):
        return False
    if isinstance(total := data.get("total"), int) and isinstance(data.get("index"), int):
        current.total = total
        if "execution_time" in data:
            current.done += 1
        elif description := data.get("description"):
            current.what = f"{what}: {description}"
    return bool(level != "error")
