"""Materialize: what is online becomes the newest rows of the feature tables, as of a moment, and nothing else.

It is a function of the tables and that moment alone. So a correction replaces, a row that came late is found, an
entity that is gone goes, and a run that was killed is simply run again.
"""

import datetime as dt
from collections.abc import Callable, Iterable
from pathlib import Path

from gemel.online.encoding import decode_time
from gemel.online.locking import locked
from gemel.online.newest import OnlineView, micros, newest
from gemel.online.store import OnlineStore

Tell = Callable[[str], None]


def materialize(
    store: OnlineStore,
    views: Iterable[OnlineView],
    *,
    end: dt.datetime,
    folder: Path,
    say: Tell = lambda line: None,
    progress: Tell = lambda line: None,
) -> dt.datetime:
    """Up to `end`; a view that is online to later already stays there, for time does not go back.

    `folder` holds the lock, `say` takes lines for whoever waits, `progress` a line that replaces the one before. The
    moment up to which all the views are online.
    """
    reached: list[dt.datetime] = []
    with locked(folder, say):
        for view in views:
            known = store.state(view.name).seen_from(view.origin).until
            until = max(end, decode_time(known)) if known is not None else end
            with newest(view, until, sort=store.sort) as rows:
                total = f"{rows.entities:,}"

                def tell(done: int, view: OnlineView = view, total: str = total) -> None:
                    progress(f"{view.name}: {done:,} of {total} entities are online")

                store.write(view, rows, until=micros(until), progress=tell)
            reached.append(until)
    return min(reached, default=end)
