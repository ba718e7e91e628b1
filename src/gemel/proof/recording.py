"""How two values of one feature enter the report."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from gemel.proof.places import FeatureTable, Key
from gemel.proof.report import Report
from gemel.proof.sameness import kind, same


def record(
    table: FeatureTable, name: str, key: Key, moment: dt.datetime, sides: Mapping[str, Any], report: Report
) -> None:
    """Record whether two values of one feature are the same; the first one is right."""
    right, other = sides.values()
    if same(right, other, table.types[name]):
        report.equal(table.name, name)
    else:
        entity = dict(zip(table.keys, key, strict=True))
        report.differs(kind(right, other), table.name, name, entity, moment, sides)
