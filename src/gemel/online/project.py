"""A project's features in the online store: materializing and reading them."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from gemel.builds.records import Build
from gemel.errors import BridgeError, GemelError
from gemel.features.bound import BoundView
from gemel.features.opened import Features
from gemel.features.provenance import explain, read_served_builds, refuse_others, tell_unrecorded
from gemel.features.selection import Chosen, choose
from gemel.features.tables import Types
from gemel.online import feast
from gemel.online.answers import Request, answer, mark_outdated, prepare
from gemel.online.config import OtherStore, Registry, Store, read_registry, read_store
from gemel.online.encoding import decode_time
from gemel.online.export import export
from gemel.online.holdings import FeastHoldings, Holdings
from gemel.online.loader import materialize as load
from gemel.online.newest import OnlineView
from gemel.online.opening import open_intervals, open_store
from gemel.online.reading import OnlineRow, find, key
from gemel.online.registry.file import check_registry
from gemel.online.store import State, StoredRow
from gemel.online.stores import Stores
from gemel.progress import track
from gemel.spec.time import seconds

Say = Callable[[str], None]


def materialize(
    features: Features,
    *,
    end: dt.datetime | None = None,
    views: Sequence[str] = (),
    say: Say = lambda line: None,
) -> dt.datetime:
    """Bring the newest rows of the feature tables up to `end` (default: now) online. Returns the moment reached.

    gemel writes to SQLite and Redis itself, to other stores through Feast. Raises UnknownNameError (G204), BridgeError
    (G538, G56x).
    """
    requested = features.select_views(views)
    for each in requested if views else ():
        if not each.online:
            raise BridgeError("G564", f"view {each.name!r} is not online", hint="remove `online: false` from the view")
    chosen = [view for view in requested if view.online]
    features.check_copies(chosen)
    builds = read_served_builds(features, chosen)
    refuse_others(features, chosen, builds, what="Parquet copy" if features.is_copied else "table")
    tell_unrecorded(features, chosen, builds)
    registry = features.once(_read_registry)
    check_registry(features.repo, registry)
    config = features.once(_read_config)
    reason = config.why if isinstance(config, OtherStore) else _why_not_read(features)
    if reason is not None or isinstance(config, OtherStore):
        say(f"Feast materializes, because {reason}")
        return feast.materialize(features.repo, end=end, views=views)
    moment = (end.replace(tzinfo=dt.UTC) if end.tzinfo is None else end) if end else dt.datetime.now(dt.UTC)
    types = features.types()
    for view in track(chosen if not features.is_copied else (), "reading", lambda view: view.name):
        _export(features, view, types[view.name], moment, builds.get(view.name))
    features.release()
    store = open_store(config)
    try:
        online = [_online_view(features, view, types[view.name], builds.get(view.name)) for view in chosen]
        intervals = open_intervals(registry, features.repo)
        folder = features.repo / "data"
        return load(store, online, end=moment, folder=folder, intervals=intervals, say=say)
    finally:
        store.close()


def read_online(features: Features, name: str, rows: Sequence[Mapping[str, Any]]) -> list[OnlineRow | None]:
    """The online features of a view, a service or one `view.feature` for each entity row; None if there are none.

    On-demand features are computed from the inputs in the rows, even if nothing is online.
    Raises UnknownNameError (G204), BridgeError (G535, G56x) and Problems (G592).
    """
    request = features.once(_Requests).find(name)
    others: set[str] = set()
    answers = answer(request, rows, partial(_find, features, others))
    if others:
        mark_outdated(request, answers, others)
    return answers


class _Requests:
    """The requests of a project, by name."""

    def __init__(self, features: Features) -> None:
        self._features = features
        self._requests: dict[str, Request] = {}

    def find(self, name: str) -> Request:
        request = self._requests.get(name) if isinstance(name, str) else None
        if request is None:
            choice = choose(self._features.bound, [name])
            request = self._requests[name] = prepare(name, choice, self._features.cached_types)
        return request


def _online_views(features: Features) -> dict[str, OnlineView]:
    types = features.cached_types
    return {view.name: _online_view(features, view, types[view.name]) for view in features.views}


def _find(
    features: Features, others: set[str], needed: Sequence[Chosen], rows: Sequence[Mapping[str, Any]]
) -> Sequence[Sequence[StoredRow | None]]:
    """The rows of each view that are online. Adds the views whose rows are of another definition than today's to
    `others`. Raises BridgeError (G535, G565)."""
    config = features.once(_read_config)
    if isinstance(config, OtherStore):
        return [_ask_feast(features, each, rows) for each in needed]
    views = features.once(_online_views)
    with features.once(Stores).borrow(config) as store:
        found = find(store, [(views[each.view.name], each.columns) for each in needed], rows)
    for each, (state, _) in zip(needed, found, strict=True):
        features.origins.check_online(each.view, state.origin)
        if features.once(_Notes).is_other(features, each.view, state):
            others.add(each.view.name)
    return [stored for _, stored in found]


class _Notes:
    """The views whose online rows are of another definition, each told once: a reader answers many requests."""

    def __init__(self, _: Features) -> None:
        self._told: dict[tuple[str, int | None], bool] = {}

    def is_other(self, features: Features, view: BoundView, state: State) -> bool:
        message = explain(features, view, state.build, what="online rows")
        if message is None:
            return False
        loaded = view.name, state.at
        if loaded not in self._told:
            self._told[loaded] = not _is_loaded_by_feast(features, view, state)
            if self._told[loaded]:
                features.session.say(f"{message}: `gemel build` replaces them")
        return self._told[loaded]


def _is_loaded_by_feast(features: Features, view: BoundView, state: State) -> bool:
    """Whether Feast has materialized the view since we did: nothing records what built those rows."""
    theirs = open_intervals(features.once(_read_registry), features.repo).until().get(view.name)
    return theirs is not None and (state.until is None or theirs > decode_time(state.until))


@contextmanager
def holding(features: Features, types: Mapping[str, Types], view: BoundView) -> Iterator[Holdings | FeastHoldings]:
    """What is online of a view, written by gemel or by Feast, while the store is open."""
    config = features.once(_read_config)
    if isinstance(config, OtherStore):
        yield FeastHoldings(partial(_ask_feast, features, Chosen(view, view.feature_names)), config.why)
        return
    store = open_store(config)
    try:
        features.origins.check_online(view, store.state(view.name).origin)
        yield Holdings(store, _online_view(features, view, types[view.name]), view.feature_names)
    finally:
        store.close()


def online_until(features: Features) -> dict[str, dt.datetime | None]:
    """The moment up to which each view is online, by us or by Feast."""
    config = features.once(_read_config)
    if isinstance(config, OtherStore):
        return feast.materialized_until(features.repo)
    store = open_store(config)
    try:
        states = {view.name: store.state(view.name) for view in features.views}
    finally:
        store.close()
    until = {name: decode_time(state.until) if state.until is not None else None for name, state in states.items()}
    for name, theirs in open_intervals(features.once(_read_registry), features.repo).until().items():
        mine = until.get(name)
        if name in until and theirs is not None and (mine is None or theirs > mine):
            until[name] = theirs
    return until


def _read_config(features: Features) -> Store:
    """Read once for many requests: `Features` is opened again when a file of feature_views/ changes."""
    return read_store(features.repo)


def _read_registry(features: Features) -> Registry:
    return read_registry(features.repo)


def _why_not_read(features: Features) -> str | None:
    """The reason why our loader cannot read the tables; None if it can."""
    if features.is_copied:
        return None
    try:
        features.session.runner.catalogs()
    except GemelError:
        return f"gemel cannot query a {features.engine.name} warehouse yet"
    return None


def _export(features: Features, view: BoundView, types: Types, moment: dt.datetime, build: Build | None) -> None:
    online = _online_view(features, view, types)
    relation = features.relations()[view.name]
    with features.reading_tables():
        export(
            features.session.runner, relation, online.entities, online.features, online.file, until=moment, build=build
        )


def _online_view(features: Features, view: BoundView, types: Types, build: Build | None = None) -> OnlineView:
    return OnlineView(
        view.name,
        {entity: types[entity] for entity in view.entities},
        {name: types[name] for name in view.feature_names},
        features.copy_of(view),
        dt.timedelta(seconds=seconds(view.ttl)) if view.ttl else None,
        features.origins.of(view),
        build,
    )


def _ask_feast(features: Features, chosen: Chosen, rows: Sequence[Mapping[str, Any]]) -> list[StoredRow | None]:
    """Look up rows of a view through Feast, which fails for a NULL key."""
    types = features.cached_types[chosen.view.name]
    typed = [{name: key(row[name], types[name], name) for name in chosen.view.entities} for row in rows]
    references = [f"{chosen.view.name}:{name}" for name in chosen.columns]
    whole = [row for row in typed if None not in row.values()]
    answers = iter(feast.read_online(features.repo, references, whole))
    found = [None if None in row.values() else next(answers) for row in typed]
    return [StoredRow(None, values) if values else None for values in found]
