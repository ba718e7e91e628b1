"""MetricFlow in an environment of its own, asked through a pipe. GEMEL_METRICFLOW_PYTHON names its Python."""

import json
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from threading import Timer
from typing import Any

HERE = Path(__file__).parent


def python() -> str | None:
    """The Python that has metricflow, if the environment names one."""
    return os.environ.get("GEMEL_METRICFLOW_PYTHON") or None


class TooSlow(Exception):
    """MetricFlow was stopped, as it took longer than it was given."""


class MetricFlow:
    """MetricFlow with one manifest loaded; `load_seconds` is what that took it, imports not counted."""

    def __init__(self, manifest: Path, *, limit: float) -> None:
        interpreter = python()
        assert interpreter is not None
        # -I: none of our modules, nor those of PYTHONPATH, are on its path.
        command = [interpreter, "-I", str(HERE / "metricflow_process.py"), str(manifest)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.load_seconds: float = self._hear(limit)["seconds"]

    def compile(self, question: dict[str, Any], *, limit: float = 60) -> dict[str, Any]:
        """`{"sql", "seconds"}`, or `{"error"}`."""
        return self._ask(question, limit)

    def validate(self, *, limit: float) -> dict[str, Any]:
        """`{"issues", "seconds"}`: its rules over the definitions, no database asked."""
        return self._ask({"validate": True}, limit)

    def _ask(self, question: dict[str, Any], limit: float) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._hear(limit)

    def close(self) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()

    def _hear(self, limit: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        timer = Timer(limit, self._process.kill)
        timer.start()
        line = self._process.stdout.readline()
        timer.cancel()
        if not line:
            self._process.wait()
            raise TooSlow(f"over {limit:.0f} s") if self._process.returncode == -9 else RuntimeError("MetricFlow died")
        return dict(json.loads(line))
