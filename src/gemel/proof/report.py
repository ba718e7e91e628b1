"""What `gemel verify` found: counts by feature, and examples of what differs."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from gemel.spec.fields import counted

Kind = Literal["different", "missing", "extra"]

_KINDS: tuple[Kind, ...] = ("different", "missing", "extra")


@dataclass(slots=True)
class Difference:
    """One stored value that is not what the metric says. `values` holds what each place has.

    `missing`: the metric has a value, and the feature table or the online store has none. `extra`: the reverse.
    """

    kind: Kind
    view: str
    feature: str
    entity: dict[str, Any]
    moment: dt.datetime
    values: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        key = ", ".join(f"{name}={value}" for name, value in self.entity.items())
        values = "  ".join(f"{place}={_shown(value)}" for place, value in self.values.items())
        return f"{self.kind:10}{self.view}.{self.feature}  {key}  {self.moment:%Y-%m-%d %H:%M}  {values}"


@dataclass(slots=True)
class Count:
    """Comparisons of one feature that came out equal, and its stored values that did not."""

    view: str
    feature: str
    equal: int = 0
    different: int = 0
    missing: int = 0
    extra: int = 0

    @property
    def compared(self) -> int:
        return self.equal + self.wrong

    @property
    def wrong(self) -> int:
        return self.different + self.missing + self.extra


@dataclass(frozen=True, slots=True)
class Stale:
    """How many of a view's entities online are older than its ttl. Feast serves them all the same."""

    entities: int
    online: int
    ttl: str


class Report:
    """Filled by the comparison. One stored value that is wrong counts once, in however many places it was met.

    `without_facts` are the views of which neither BI nor the table has anything, and up to when BI was asked.
    """

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], Count] = {}
        self.moments: dict[str, list[dt.datetime]] = {}
        self.reasons: list[str] = []
        self.stale: dict[str, Stale] = {}
        self.pushed: dict[str, int] = {}
        self.without_facts: dict[str, dt.datetime] = {}
        self._differences: dict[tuple[Any, ...], Difference] = {}

    @property
    def differences(self) -> list[Difference]:
        return list(self._differences.values())

    @property
    def wrong(self) -> int:
        return sum(count.wrong for count in self.counts.values())

    @property
    def compared(self) -> int:
        return sum(count.compared for count in self.counts.values())

    def empty(self) -> list[str]:
        """The features of which nothing could be compared, though there are facts; that is no proof of anything."""
        return [
            f"{count.view}.{count.feature}"
            for count in self.counts.values()
            if not count.compared and count.view not in self.without_facts
        ]

    def failed(self, threshold: int = 0) -> bool:
        return self.wrong > threshold or bool(self.empty()) or not self.counts or bool(self.reasons)

    def count(self, view: str, feature: str) -> Count:
        return self.counts.setdefault((view, feature), Count(view, feature))

    def equal(self, view: str, feature: str) -> None:
        self.count(view, feature).equal += 1

    def differs(
        self,
        kind: Kind,
        view: str,
        feature: str,
        entity: Mapping[str, Any],
        moment: dt.datetime,
        values: Mapping[str, Any],
    ) -> None:
        """`moment` is the stored row's own, so that a row seen from two moments is one difference."""
        key = (view, feature, tuple(entity.items()), moment)
        known = self._differences.get(key)
        if known is not None:
            for place, value in values.items():
                known.values.setdefault(place, value)
            return
        self._differences[key] = Difference(kind, view, feature, dict(entity), moment, dict(values))
        count = self.count(view, feature)
        setattr(count, kind, getattr(count, kind) + 1)

    def verdict(self) -> str:
        """`50 features, 820,809 comparisons: all equal`"""
        features = f"{counted(len(self.counts), 'feature')}, {self.compared:,} comparisons"
        if self.wrong:
            return f"{features}: {self.wrong:,} wrong"
        if self.failed():
            return f"{features}: not enough to say that they agree"
        count = len(self.without_facts)
        empty = f"{counted(count, 'view')} without facts" if count else ""
        return f"{features}: " + ", ".join(part for part in ("all equal" if self.compared else "", empty) if part)

    def __str__(self) -> str:
        return self.verdict()

    def json(self) -> dict[str, Any]:
        return {
            "compared": self.compared,
            **{kind: sum(getattr(count, kind) for count in self.counts.values()) for kind in ("equal", *_KINDS)},
            "reasons": self.reasons,
            "pushed": self.pushed,
            "without_facts": {view: moment.isoformat() for view, moment in self.without_facts.items()},
            "stale": {view: asdict(found) for view, found in self.stale.items()},
            "moments": {view: [moment.isoformat() for moment in moments] for view, moments in self.moments.items()},
            "features": [asdict(count) for count in self.counts.values()],
            "differences": [
                asdict(each) | {"moment": each.moment.isoformat()} | {"values": _plain(each.values)}
                for each in self.differences
            ],
        }


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    kept = (str, int, float, bool, type(None))
    return {place: value if isinstance(value, kept) else str(value) for place, value in values.items()}


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(value)
