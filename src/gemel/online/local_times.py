"""Times in Feast's SQLite store: the seconds since 1970 of a UTC time that is taken for a local time.

Feast reverses that in a process of the same time zone. In another zone its times are hours off, and in the hour that
a change of clocks leaves out, two times become one. So gemel's loader notes the true time beside Feast's, and the
zone of its process; only the times of rows that Feast wrote are read as Feast reads them.
"""

import datetime as dt
import os
import time
import zlib
from dataclasses import asdict, dataclass

from gemel.online.encoding import EPOCH

_HALF_MONTHS = range(946_728_000, 2_208_988_800, 1_314_900)
"""Instants from 2000 to 2040, two in each month."""


@dataclass(frozen=True, slots=True)
class Zone:
    """The time zone of a process: its name, for messages, and a checksum of its offsets, in which zones differ."""

    name: str
    offsets: int

    @staticmethod
    def of_process() -> "Zone":
        offsets = ",".join(str(time.localtime(instant).tm_gmtoff) for instant in _HALF_MONTHS)
        return Zone(os.environ.get("TZ") or "/".join(dict.fromkeys(time.tzname)), zlib.crc32(offsets.encode()))

    def is_same(self, other: "Zone") -> bool:
        return self.offsets == other.offsets

    def json(self) -> dict[str, object]:
        return asdict(self)

    @staticmethod
    def parse(kept: object) -> "Zone | None":
        match kept:
            case {"name": str(name), "offsets": int(offsets)}:
                return Zone(name, offsets)
            case _:
                return None


def to_local(moment: int) -> int:
    """What Feast stores for a moment in microseconds since 1970."""
    return int(_naive(moment).timestamp())


def from_local(stored: int) -> int:
    """The moment that Feast reads, in microseconds since 1970."""
    return (dt.datetime.fromtimestamp(stored).replace(tzinfo=dt.UTC) - EPOCH) // dt.timedelta(microseconds=1)


def last_local(moment: int) -> int:
    """The last stored time that Feast reads as this moment or an earlier one.

    It is the moment's own, unless the clocks leave its hour out: Feast then reads its own as later.
    """
    late = to_local(moment)
    if from_local(late) <= moment:
        return late
    early = int(_naive(moment).replace(fold=1).timestamp())
    while late - early > 1:
        middle = (early + late) // 2
        early, late = (middle, late) if from_local(middle) <= moment else (early, middle)
    return early


def _naive(moment: int) -> dt.datetime:
    return (EPOCH + dt.timedelta(microseconds=moment)).replace(tzinfo=None)
