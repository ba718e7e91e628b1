"""Bars on stderr while long work goes on: what is done, how much is left. Only on a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

from gemel.progress import Listener, listening, task

if TYPE_CHECKING:
    from rich.progress import Progress

AFTER = 2.0
"""Work of fewer seconds shows nothing."""

WIDEST = 44
"""The longest name of a task, in characters; the bar needs its place too."""


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """On a terminal, show what is going on, for how long, and how much is left, after the first two seconds."""
    if not sys.stderr.isatty():
        yield
        return
    done = Event()
    with listening() as tasks, task(what):
        thread = Thread(target=_show, args=(tasks, done), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _show(tasks: Listener, done: Event) -> None:
    if done.wait(AFTER):
        return
    with _bars() as bars:
        while not done.wait(0.2):
            _update(bars, tasks)


def _bars() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[count]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("(Ctrl-C stops it)", style="dim"),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
    )


def _update(bars: "Progress", tasks: Listener) -> None:
    """Show the tasks as they are now: one that has ended goes, with its bar."""
    known = {shown.fields["task"]: shown.id for shown in bars.tasks}
    current = list(tasks)
    for each in current:
        key = id(each)
        if key not in known:
            known[key] = bars.add_task(each.what, total=each.total, count="", task=key)
        count = "" if each.total is None else f"{each.done:,} of {each.total:,}"
        what = each.what if len(each.what) <= WIDEST else f"{each.what[: WIDEST - 1]}…"
        bars.update(known[key], description=what, completed=each.done, total=each.total, count=count)
    for key, number in known.items():
        if key not in {id(each) for each in current}:
            bars.remove_task(number)
