"""MetricFlow as a partner to ask: a process of its own, in a Python of its own."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from worlds.questions import Question

VARIABLE = "GEMEL_METRICFLOW_PYTHON"


def python() -> str | None:
    """The interpreter that has MetricFlow, if one was named and is there."""
    named = os.environ.get(VARIABLE)
    return named if named and shutil.which(named) else None


class MetricFlow:
    def __init__(self, interpreter: str, manifest: Path) -> None:
        command = [interpreter, str(Path(__file__).with_name("metricflow_process.py")), str(manifest)]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        if "ready" not in self._process.stdout.readline():
            raise RuntimeError("MetricFlow did not start")

    def take(self, **world: str) -> None:
        """`script` (SQL that makes the tables) or `attach` (a DuckDB file), and the database's name as `name`."""
        answer = self._send(world)
        if "error" in answer:
            raise RuntimeError(answer["error"])

    def ask(self, question: Question) -> dict[str, Any]:
        return self._send(question.for_metricflow())

    def close(self) -> None:
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def _send(self, content: dict[str, Any]) -> dict[str, Any]:
        self._process.stdin.write(json.dumps(content) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())
