"""How long things take. Contenders take turns, so that what disturbs the machine disturbs all of them."""

import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds on the clock and seconds of processors, a pair a repetition."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def add(self, wall: float, cpu: float) -> None:
        self.wall.append(wall)
        self.cpu.append(cpu)


def median(seconds: list[float]) -> float | None:
    return statistics.median(seconds) if seconds else None


def clocked(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock, and seconds of this process's processors."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def peak_memory() -> float:
    """Megabytes that this process has held at most.

    Linux hands ru_maxrss down to a new process, so that a child of a large one is told the peak of its parent; VmHWM
    is of the program itself.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
