"""The proof: BI number = feature table = training set = Parquet copy = online store.

The BI side is the ordinary query of the metric, grouped by the entity and filtered to the window's days or hours.
It shares no SQL with the feature table: a mistake in either one shows.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gemel.compiler.features.cells import MOMENT
from gemel.compiler.names.graph import Graph
from gemel.engines.engine import Capability
from gemel.features.bound import BoundView
from gemel.progress import track
from gemel.proof.bi import bi_values
from gemel.proof.copies import compare_copy
from gemel.proof.online import compare_online
from gemel.proof.places import FeatureTable, Key, Places
from gemel.proof.recording import record
from gemel.proof.rehearsal import rehearse
from gemel.proof.report import Report
from gemel.spec.feature_views import MetricFeature
from gemel.spec.fields import format_count
from gemel.spec.time import duration, floor
from gemel.training.exactness import exact_features


def verify(
    graph: Graph,
    views: Iterable[BoundView],
    types: Mapping[str, Mapping[str, str]],
    places: Places,
    *,
    at: Sequence[dt.datetime] = (),
    moments: int = 5,
    say: Callable[[str], None] = lambda line: None,
) -> Report:
    """Compare every feature of every view at the moments `at`, or else at as many moments as `moments` says.

    Raises WarehouseError if a table does not exist.
    """
    report = Report()
    for view in track(tuple(views), "verify", lambda view: view.name):
        table = FeatureTable(view, types[view.name], places)
        for feature in view.features:
            report.count(view.name, feature.name)
        if table.ends() == (None, None):
            _compare_empty(graph, table, report)
            if places.online is not None and view.online and (places.until or {}).get(view.name):
                compare_online(table, places.online, report)
            say(f"{view.name}: compared with BI, as a table without rows")
            continue
        chosen = table.within(at) if at else table.spread(moments)
        report.moments[view.name] = chosen
        snapshots = [
            _take_snapshot(graph, table, moment) for moment in track(chosen, "BI", lambda moment: f"at {moment}")
        ]
        if not sum(_compare_bi(table, each, report) for each in snapshots):
            report.reasons.append(
                f"nothing of {view.name} was compared with BI: no entity has facts or rows at these moments"
            )
        say(f"{view.name}: compared with BI at {format_count(len(chosen), 'moment')}")
        _compare_served(table, snapshots, report)
        _compare_exact(graph, table, snapshots, report)
        say(f"{view.name}: compared with training sets, served and exact")
        if places.engine.has(Capability.COPIED):
            compare_copy(table, report)
        if places.online is not None and view.online:
            compare_online(table, places.online, report)
            say(f"{view.name}: compared with the online store")
    if not report.counts:
        report.reasons.append("there is no feature view to compare")
    return report


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """One view at a moment: the table's rows and BI's values, by entity.

    `scheduled` is the last moment of the schedule, with the delay, at or before the moment `at`.
    """

    at: dt.datetime
    scheduled: dt.datetime
    stored: dict[Key, dict[str, Any]]
    bi: dict[Key, dict[str, Any]]


def _compare_empty(graph: Graph, table: FeatureTable, report: Report) -> None:
    """Compare a table without rows, which is right if BI has no facts for any of its features."""
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    until = table.places.facts_until or now
    moment = floor(until - duration(table.view.delay), table.view.schedule)
    for features, values_by_key, _ in bi_values(graph, table, moment, (), reach=lambda feature: None):
        for key, values in values_by_key.items():
            for feature, value in zip(features, values, strict=True):
                if value is not None:
                    who = ", ".join(f"{name}={each}" for name, each in zip(table.keys, key, strict=True))
                    report.reasons.append(
                        f"the table of {table.name} has no rows, and BI has numbers for it: up to "
                        f"{moment:%Y-%m-%d %H:%M} the metric of {feature.name} is {value} for {who}"
                    )
                    return
    report.without_facts[table.name] = moment
    if table.places.engine.has(Capability.COPIED):
        compare_copy(table, report)


def _take_snapshot(graph: Graph, table: FeatureTable, at: dt.datetime) -> _Snapshot:
    stored = table.as_of(at)
    lag = duration(table.view.delay)
    moment = floor(at - lag, table.view.schedule)
    bi: dict[Key, dict[str, Any]] = {key: {} for key in stored}
    for features, values_by_key, nothing in bi_values(graph, table, moment, stored):
        # An entity without facts has no row, even if it has dimensions.
        facts = isinstance(features[0], MetricFeature)
        for key in values_by_key.keys() | stored.keys() if facts else stored.keys():
            values = values_by_key.get(key, nothing)
            bi.setdefault(key, {}).update(zip((feature.name for feature in features), values, strict=True))
    return _Snapshot(at, moment + lag, stored, bi)


def _compare_bi(table: FeatureTable, snapshot: _Snapshot, report: Report) -> int:
    """Compare a table with BI, and return the number of values compared."""
    for key, values in snapshot.bi.items():
        row = snapshot.stored.get(key)
        for name, bi in values.items():
            stored = row[name] if row is not None else None
            at = row[MOMENT] if row is not None else snapshot.at
            record(table, name, key, at, {"BI": bi, "table": stored}, report)
    return sum(len(values) for values in snapshot.bi.values())


def _compare_served(table: FeatureTable, snapshots: Sequence[_Snapshot], report: Report) -> None:
    """Compare training sets as served: they have the table's newest row, unless it is older than the ttl."""
    ttl = table.view.ttl
    requests = [(key, each.at) for each in snapshots for key in each.stored]
    rows = [row for each in snapshots for row in each.stored.values()]
    served = rehearse(table.places.train, table.view, table.view.features, requests, "served")
    for (key, moment), row, features in zip(requests, rows, served, strict=True):
        expired = ttl is not None and moment > row[MOMENT] + duration(ttl)
        for name, value in features.items():
            right = None if expired else row[name]
            record(table, name, key, row[MOMENT], {"table": right, "served": value}, report)


def _compare_exact(graph: Graph, table: FeatureTable, snapshots: Sequence[_Snapshot], report: Report) -> None:
    """Compare exact training sets: at a moment of the schedule they have BI's value for each entity with facts."""
    exact = exact_features(graph, table.view)
    requests = [(key, each.scheduled) for each in snapshots for key in each.stored]
    if not exact:
        return
    trained = rehearse(table.places.train, table.view, exact, requests, "exact")
    sides = [(each.bi[key], row) for each in snapshots for key, row in each.stored.items()]
    for (key, _), (bi, row), features in zip(requests, sides, trained, strict=True):
        for name, value in features.items():
            if name in bi:
                record(table, name, key, row[MOMENT], {"BI": bi[name], "exact": value}, report)
