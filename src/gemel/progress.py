"""How far long work is. Work reports what it is doing and how much is left; whoever shows it listens.

Without a listener nothing is done.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass
class Task:
    """A piece of work. `total` is None as long as nobody knows how much it is."""

    what: str
    total: int | None = None
    done: int = 0


Listener = list[Task]
"""The tasks that go on now, each inside the one before it. Another thread may read it."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening() -> Iterator[Listener]:
    """The tasks of this thread, as they come and go."""
    tasks: Listener = []
    token = _listener.set(tasks)
    try:
        yield tasks
    finally:
        _listener.reset(token)


def is_heard() -> bool:
    """Whether anybody listens. Asking an engine or dbt for its progress is only worth it then."""
    return _listener.get() is not None


@contextmanager
def task(what: str, total: int | None = None) -> Iterator[Task]:
    """A piece of work, whose `done`, `total` and `what` may be changed as it goes on."""
    tasks, current = _listener.get(), Task(what, total)
    if tasks is None:
        yield current
        return
    tasks.append(current)
    try:
        yield current
    finally:
        tasks.remove(current)


def track(items: Sequence[T], what: str, name: Callable[[T], str] = lambda item: "") -> Iterator[T]:
    """The items, each reported by its name while it is worked on."""
    with task(what, len(items)) as current:
        for number, item in enumerate(items):
            current.what, current.done = f"{what} {name(item)}".rstrip(), number
            yield item
