"""What a question may cost, and how long it waits for its turn: `vars: gemel: limits:` of dbt_project.yml."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one project. None is no limit.

    `time` (seconds) and `rows` are of one question. `memory` and `disk` (bytes, disk for what does not fit into memory)
    are of the process on DuckDB; on a server they are of one step and of one session of a question. `at_once` is how
    many questions run at the same time. `wait` (seconds) is how long a question or a build waits for its turn.
    """

    time: float | None = None
    rows: int | None = None
    memory: int | None = None
    disk: int | None = None
    at_once: int = 8
    wait: float = 600


NO_LIMITS = Limits()
