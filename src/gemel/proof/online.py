"""Feature tables against the online store, from both sides: what a table has, and what only the store has."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from gemel.compiler.features.cells import MOMENT
from gemel.online.store import StoredRow
from gemel.proof.places import FeatureTable, Online, OpenOnline
from gemel.proof.recording import record
from gemel.proof.report import Report, Stale
from gemel.proof.sameness import to_moment
from gemel.spec.time import duration

SKEW = dt.timedelta(minutes=1)
"""How far the clock of another machine may be ahead."""
LISTED = 1_000
"""The entities that only the store has, in the report; more are counted."""


def compare_online(table: FeatureTable, open_online: OpenOnline, report: Report) -> None:
    """Compare the newest row of each entity, as of the moment up to which the view is online, and report all others
    that the store has."""
    until = (table.places.until or {}).get(table.name)
    if until is None:
        report.reasons.append(f"{table.name} was never materialized, so nothing of it is online")
        return
    moment, now = until.replace(tzinfo=None), dt.datetime.now(dt.UTC).replace(tzinfo=None)
    with open_online(table.view) as online:
        entities = _compare_entities(table, online, moment, now, report)
        if not entities and table.ends() != (None, None):
            report.reasons.append(f"{table.name} has no row up to {until:%Y-%m-%d %H:%M}, where it is online to")
        if online.why_unlisted is not None:
            report.unlisted[table.name] = online.why_unlisted
            return
        if table.view.push:  # what is pushed can be ahead of what is materialized
            for batch in table.entities_after(moment):
                online.skip(batch)
        _report_others(table, online, report)


def _compare_entities(table: FeatureTable, online: Online, until: dt.datetime, now: dt.datetime, report: Report) -> int:
    """Compare each entity of a table with its row online, and return their number."""
    ttl = table.view.ttl
    oldest = now - duration(ttl) if ttl is not None else None
    stale = entities = 0
    for batch in table.newest(until):
        entities += len(batch)
        stale += sum(row[MOMENT] < oldest for row in batch) if oldest is not None else 0
        keys = [{name: row[name] for name in table.keys} for row in batch]
        for entity, row, stored in zip(keys, batch, online.find(keys), strict=True):
            _compare_row(table, entity, row, stored, now, report)
    if ttl is not None and entities:
        report.stale[table.name] = Stale(stale, entities, str(ttl))
    return entities


def _compare_row(
    table: FeatureTable,
    entity: Mapping[str, Any],
    row: Mapping[str, Any],
    stored: StoredRow | None,
    now: dt.datetime,
    report: Report,
) -> None:
    at = to_moment(stored.moment) if stored and stored.moment else None
    if stored and at and at > now + SKEW:
        _report_extra(table, entity, stored, report)
        return
    if table.view.push and at and at > to_moment(row[MOMENT]):
        report.pushed[table.name] = report.pushed.get(table.name, 0) + 1
        return
    key, wrong = tuple(entity.values()), report.wrong
    for name in table.view.feature_names:
        value = stored.values.get(name) if stored is not None else None
        record(table, name, key, row[MOMENT], {"table": row[name], "online": value}, report)
    if at and at != to_moment(row[MOMENT]) and report.wrong == wrong:  # the row of another time has the same values
        times = {"table": row[MOMENT], "online": at}
        report.differs("different", table.name, MOMENT, entity, row[MOMENT], times)


def _report_others(table: FeatureTable, online: Online, report: Report) -> None:
    """Report the entities that only the store has."""
    count = 0
    for entity, stored in online.others():
        count += 1
        if count <= LISTED:
            _report_extra(table, entity, stored, report)
        else:
            for name in _extra_values(table, stored):
                report.count(table.name, name).extra += 1
    if count:
        report.others[table.name] = count


def _report_extra(table: FeatureTable, entity: Mapping[str, Any], stored: StoredRow, report: Report) -> None:
    """Report a row that no table has: each of its values is extra."""
    moment = to_moment(stored.moment)
    for name, value in _extra_values(table, stored).items():
        report.differs("extra", table.name, name, entity, moment, {"table": None, "online": value})


def _extra_values(table: FeatureTable, stored: StoredRow) -> dict[str, Any]:
    """The values of a row; its time, if all of them are NULL."""
    values = {name: stored.values.get(name) for name in table.view.feature_names}
    return {name: value for name, value in values.items() if value is not None} or {MOMENT: stored.moment}
