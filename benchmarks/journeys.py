"""How much of gemel a journey goes through: own functions, modules and calls, and how deep. Counted, not clocked.

Own is what stands in a file under src/gemel and has a name: neither lambdas nor comprehensions. A journey is taken once
uncounted, so that imports and what a session keeps are not in the figures.
"""

import io
import os
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections import Counter
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType

from cold import build_example
from report import Report, Table

import gemel

SOURCE = str(Path(gemel.__file__).parent)
GOALS = {
    "a question, compile": {"functions": 75, "modules": 15},
    "generate of the example": {"functions": 350, "calls": 15_000, "depth": 35},
    "diff of one changed model": {"functions": 300, "calls": 15_000},
}
CHANGE = ("models/marts/flights.sql", "departure_delay > 15", "departure_delay > 20")


@dataclass(slots=True)
class Journey:
    """What was entered while `sys.setprofile` called `see`."""

    entered: Counter[CodeType] = field(default_factory=Counter)
    depth: int = 0
    _now: int = 0
    _own: dict[CodeType, bool] = field(default_factory=dict)

    def see(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event not in ("call", "return") or not self._is_own(code):
            return
        if event == "return":
            self._now -= 1
            return
        self.entered[code] += 1
        self._now += 1
        self.depth = max(self.depth, self._now)

    def _is_own(self, code: CodeType) -> bool:
        if code not in self._own:
            self._own[code] = code.co_filename.startswith(SOURCE) and not code.co_name.startswith("<")
        return self._own[code]

    def figures(self) -> dict[str, int]:
        return {
            "functions": len(self.entered),
            "modules": len({code.co_filename for code in self.entered}),
            "calls": self.entered.total(),
            "depth": self.depth,
        }


def measure(options: Namespace) -> Report:
    table = Table(["journey", "functions", "goal", "modules", "goal", "calls", "goal", "depth", "goal"])
    with tempfile.TemporaryDirectory(prefix="gemel-bench-", dir=options.temp) as folder:
        project = build_example(Path(folder) / "project")
        os.environ["DBT_PROFILES_DIR"] = "."
        with chdir(project):
            for name, take in journeys(project).items():
                goals = GOALS.get(name, {})
                journey = counted(take)
                figures = journey.figures()
                table.rows.append([name, *(cell for key, value in figures.items() for cell in (value, goals.get(key)))])
                options.say(str(table.rows[-1]))
                for code, calls in journey.entered.most_common():
                    options.say(f"  {calls:7,} {code.co_filename.removeprefix(SOURCE)[1:]} {code.co_qualname}")
    return Report([table])


def journeys(project: Path) -> dict[str, Callable[[], object]]:
    loaded = gemel.load(project)
    by_month = ["carrier__name", "metric_time__month"]
    return {
        "a question, compile": lambda: loaded.query("flights", "carrier__name"),
        "a ratio by month, compile": lambda: loaded.query("late_rate", by_month),
        "generate of the example": lambda: run("generate"),
        "diff of one changed model": lambda: diff(project),
    }


def run(*arguments: str) -> None:
    from gemel.cli import command

    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        command.main([*arguments], standalone_mode=False, obj={"debug": False})


def diff(project: Path) -> None:
    """The first time makes the repository and the change."""
    if not (project / ".git").exists():
        (project / ".gitignore").write_text("target/\nlogs/\n*.duckdb*\n")
        who = ("-c", "user.name=bench", "-c", "user.email=bench@example.com")
        for command in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "example"]):
            subprocess.run(["git", *command], cwd=project, check=True)
        file, before, after = project / CHANGE[0], CHANGE[1], CHANGE[2]
        text = file.read_text()
        assert before in text
        file.write_text(text.replace(before, after))
    run("diff", "HEAD")


def counted(take: Callable[[], object]) -> Journey:
    take()
    journey = Journey()
    sys.setprofile(journey.see)
    try:
        take()
    finally:
        sys.setprofile(None)
    return journey
