"""The result of `gemel verify`: counts by feature, and the values that differ."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from gemel.spec.fields import format_count

Kind = Literal["different", "missing", "extra"]

_KINDS: tuple[Kind, ...] = ("different", "missing", "extra")


@dataclass(slots=True)
class Difference:
    """One stored value that differs from the metric. `values` holds the value of each place.

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
        values = "  ".join(f"{place}={_format(value)}" for place, value in self.values.items())
        return f"{self.kind:10}{self.view}.{self.feature}  {key}  {self.moment:%Y-%m-%d %H:%M}  {values}"


@dataclass(slots=True)
class Count:
    """The equal comparisons of one feature, and its wrong stored values."""

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
    """How many of a view's online entities are older than its ttl. Feast serves them nevertheless."""

    entities: int
    online: int
    ttl: str


class Report:
    """Filled by the comparison. One wrong stored value counts once, however many places show it.

    `without_facts` holds the views without facts in BI and without rows, and the moment up to which BI was queried.
    `others` counts the entities of a view that are online and in no table. `unlisted` has the views whose entities the
    online store cannot list, and why.
    """

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], Count] = {}
        self.moments: dict[str, list[dt.datetime]] = {}
        self.reasons: list[str] = []
        self.stale: dict[str, Stale] = {}
        self.pushed: dict[str, int] = {}
        self.others: dict[str, int] = {}
        self.unlisted: dict[str, str] = {}
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
        """The features without any comparison although there are facts: they prove nothing."""
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
        """Record a difference. `moment` is the stored row's own: a row compared at two moments is one difference."""
        key = (view, feature, tuple(entity.items()), moment)
        existing = self._differences.get(key)
        if existing is not None:
            for place, value in values.items():
                existing.values.setdefault(place, value)
            return
        self._differences[key] = Difference(kind, view, feature, dict(entity), moment, dict(values))
        count = self.count(view, feature)
        setattr(count, kind, getattr(count, kind) + 1)

    def verdict(self) -> str:
        """`50 features, 820,809 comparisons: all equal`"""
        features = f"{format_count(len(self.counts), 'feature')}, {self.compared:,} comparisons"
        if self.wrong:
            return f"{features}: {self.wrong:,} wrong"
        if self.failed():
            return f"{features}: not enough to say that they agree"
        count = len(self.without_facts)
        empty = f"{format_count(count, 'view')} without facts" if count else ""
        return f"{features}: " + ", ".join(part for part in ("all equal" if self.compared else "", empty) if part)

    def __str__(self) -> str:
        return self.verdict()

    def json(self) -> dict[str, Any]:
        return {
            "compared": self.compared,
            **{kind: sum(getattr(count, kind) for count in self.counts.values()) for kind in ("equal", *_KINDS)},
            "reasons": self.reasons,
            "pushed": self.pushed,
            "others": self.others,
            "unlisted": self.unlisted,
            "without_facts": {view: moment.isoformat() for view, moment in self.without_facts.items()},
            "stale": {view: asdict(stale) for view, stale in self.stale.items()},
            "moments": {view: [moment.isoformat() for moment in moments] for view, moments in self.moments.items()},
            "features": [asdict(count) for count in self.counts.values()],
            "differences": [
                asdict(each) | {"moment": each.moment.isoformat()} | {"values": _json_values(each.values)}
                for each in self.differences
            ],
        }


def _json_values(values: Mapping[str, Any]) -> dict[str, Any]:
    kept = (str, int, float, bool, type(None))
    return {place: value if isinstance(value, kept) else str(value) for place, value in values.items()}


def _format(value: Any) -> str:
    return "nothing" if value is None else str(value)
