"""Materialize: the online store gets the newest rows of the feature tables as of a moment, and nothing else.

The result depends only on the tables and that moment. Corrected rows replace old ones, late rows are included, deleted
entities are removed, and a run that was killed can simply be repeated.
"""

import datetime as dt
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from gemel.online.encoding import decode_time
from gemel.online.locking import locked
from gemel.online.newest import OnlineView, micros, newest
from gemel.online.registry.intervals import Intervals
from gemel.online.store import OnlineStore
from gemel.progress import task, track

Tell = Callable[[str], None]


def materialize(
    store: OnlineStore,
    views: Iterable[OnlineView],
    *,
    end: dt.datetime,
    folder: Path,
    intervals: Intervals | None = None,
    say: Tell = lambda line: None,
) -> dt.datetime:
    """Materialize the views up to `end`; a view that is online up to a later moment stays there.

    `folder` has the lock, `intervals` are those in Feast's registry. `say` receives lines for the user. Returns the
    moment up to which all views are online.
    """
    reached: list[dt.datetime] = []
    unknown: list[str] = []
    with locked(folder, say):
        for view in track(list(views), "materialize", lambda view: view.name):
            before = store.state(view.name).for_origin(view.origin).until
            until = max(end, decode_time(before)) if before is not None else end
            if before is None and intervals is not None:
                intervals.forget(view.name)  # of a store that is no longer there, or of another target's rows
            with newest(view, until, sort=store.sort) as rows, task("entities online", rows.entities) as current:
                store.write(view, rows, until=micros(until), progress=partial(setattr, current, "done"))
            # Only now: a run that is killed leaves no interval that it did not load. Rows that dbt makes later, at
            # moments before `until`, are not loaded either.
            loaded = min(until, decode_time(rows.built or 0))
            if intervals is not None and not intervals.record(view.name, loaded):
                unknown.append(view.name)
            reached.append(until)
        if unknown and intervals is not None and intervals.until():
            say(f"Feast's registry does not have {', '.join(unknown)}: run `gemel features apply`")
    return min(reached, default=end)
