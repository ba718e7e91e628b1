"""A project's features online: brought there, and read."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from gemel.errors import BridgeError, GemelError
from gemel.features.bound import BoundView
from gemel.features.opened import Features
from gemel.features.selection import Chosen, choose
from gemel.features.tables import Types
from gemel.online import feast
from gemel.online.answers import Find, answer
from gemel.online.config import OtherStore, read_store
from gemel.online.encoding import decode_time
from gemel.online.export import export
from gemel.online.loader import materialize as load
from gemel.online.newest import OnlineView
from gemel.online.opening import open_store
from gemel.online.reading import OnlineRow, find, key
from gemel.online.store import Found
from gemel.spec.time import seconds

Say = Callable[[str], None]


def materialize(
    features: Features,
    *,
    end: dt.datetime | None = None,
    views: Sequence[str] = (),
    say: Say = lambda line: None,
    progress: Say = lambda line: None,
) -> dt.datetime:
    """Make what is online the newest rows of the feature tables up to `end` (default: now). Up to when it is.

    SQLite and Redis are written to by us; others through Feast. Raises UnknownNameError (G204), BridgeError (G56x).
    """
    asked = features.named(views)
    for each in asked if views else ():
        if not each.online:
            raise BridgeError("G564", f"{each.name!r} is not online", hint="remove `online: false` from it")
    chosen = [view for view in asked if view.online]
    features.check_copies(chosen)
    found = read_store(features.repo)
    why = found.why if isinstance(found, OtherStore) else _why_not_read(features)
    if why is not None or isinstance(found, OtherStore):
        say(f"Feast materializes, because {why}")
        return feast.materialize(features.repo, end=end, views=views)
    moment = (end.replace(tzinfo=dt.UTC) if end.tzinfo is None else end) if end else dt.datetime.now(dt.UTC)
    types = features.types()
    for view in chosen if not features.is_copied else ():
        progress(f"reading {view.name}")
        _export(features, view, types[view.name], moment)
    features.release()
    store = open_store(found)
    try:
        online = [_online_view(features, view, types[view.name]) for view in chosen]
        return load(store, online, end=moment, folder=features.repo / "data", say=say, progress=progress)
    finally:
        store.close()


def read_online(features: Features, name: str, rows: Sequence[Mapping[str, Any]]) -> list[OnlineRow | None]:
    """What is online for each entity row, of a view, a service or one `view.feature`; None where nothing is.

    On-demand features are computed of the inputs that the rows bring, also where nothing is online.
    Raises UnknownNameError (G204), BridgeError (G535, G56x) and Problems (G592).
    """
    choice = choose(features.bound, [name])
    types = features.kept_types
    with _finding(features, types) as look:
        return answer(name, choice, types, rows, look)


def stored(
    features: Features, types: Mapping[str, Types], view: BoundView, keys: Sequence[Mapping[str, Any]]
) -> Sequence[Found | None]:
    """What is stored of a view, by us or by Feast."""
    with _finding(features, types) as look:
        return look(Chosen(view, view.feature_names), keys)


def online_until(features: Features) -> dict[str, dt.datetime | None]:
    """Up to when each view is online. Feast is asked only where it may have materialized since we did."""
    found = read_store(features.repo)
    if isinstance(found, OtherStore):
        return feast.materialized_until(features.repo)
    store = open_store(found)
    try:
        states = {view.name: store.state(view.name) for view in features.views}
    finally:
        store.close()
    until = {name: decode_time(state.until) if state.until is not None else None for name, state in states.items()}
    registry = features.repo / "data" / "registry.db"
    ours = min((state.at or 0 for state in states.values()), default=0)
    if registry.is_file() and registry.stat().st_mtime * 1_000_000 > ours:
        for name, theirs in feast.materialized_until(features.repo).items():
            mine = until.get(name)
            if name in until and theirs is not None and (mine is None or theirs > mine):
                until[name] = theirs
    return until


def _why_not_read(features: Features) -> str | None:
    """Why our loader cannot read the tables; None where it can."""
    if features.is_copied:
        return None
    try:
        features.session.runner.catalogs()
    except GemelError:
        return f"gemel cannot ask a {features.engine.name} warehouse yet"
    return None


def _export(features: Features, view: BoundView, types: Types, moment: dt.datetime) -> None:
    online = _online_view(features, view, types)
    relation = features.relations()[view.name]
    with features.reading_tables():
        export(features.session.runner, relation, online.entities, online.features, online.file, until=moment)


def _online_view(features: Features, view: BoundView, types: Types) -> OnlineView:
    return OnlineView(
        view.name,
        {entity: types[entity] for entity in view.entities},
        {name: types[name] for name in view.feature_names},
        features.copy_of(view),
        dt.timedelta(seconds=seconds(view.ttl)) if view.ttl else None,
        features.origins.of(view),
    )


@contextmanager
def _finding(features: Features, types: Mapping[str, Types]) -> Iterator[Find]:
    """How to look rows of a view up online, while the store is open."""

    def ask_feast(chosen: Chosen, keys: Sequence[Mapping[str, Any]]) -> list[Found | None]:
        view = types[chosen.view.name]
        typed = [{name: key(value, view[name], name) for name, value in row.items()} for row in keys]
        references = [f"{chosen.view.name}:{name}" for name in chosen.columns]
        answers = feast.read_online(features.repo, references, typed)
        return [Found(None, values) if values else None for values in answers]

    found = read_store(features.repo)
    if isinstance(found, OtherStore):
        yield ask_feast
        return
    store = open_store(found)

    def look(chosen: Chosen, keys: Sequence[Mapping[str, Any]]) -> Sequence[Found | None]:
        features.origins.check_online(chosen.view, store.state(chosen.view.name).origin)
        return find(store, _online_view(features, chosen.view, types[chosen.view.name]), chosen.columns, keys)

    try:
        yield look
    finally:
        store.close()
