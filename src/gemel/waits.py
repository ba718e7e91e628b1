"""Waits for another process: until a deadline, with one line that says why."""

import math
import time
from collections.abc import Callable


class Wait:
    """A wait until `deadline`, of `time.monotonic`, in steps of `pause` seconds. `say` gets the reason, once."""

    def __init__(self, say: Callable[[str], None], *, deadline: float = math.inf, pause: float) -> None:
        self._say: Callable[[str], None] | None = say
        self._deadline = deadline
        self._pause = pause

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self._deadline

    def pause(self, reason: str) -> None:
        """Sleep for one step, or less if the deadline is nearer."""
        if self._say is not None:
            self._say(reason)
            self._say = None
        time.sleep(max(0.0, min(self._pause, self._deadline - time.monotonic())))
