"""Metric tests as they are written beside a metric, in `config: meta: gemel: tests:`, read into frozen values.

What is wrong is noted with its path inside the metric, and reading goes on: `Places` finds the line of a path.
"""

import datetime as dt
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, NoReturn

from gemel.errors import About, DefinitionError, GemelError, did_you_mean
from gemel.spec.fields import shown
from gemel.spec.metrics import Metric
from gemel.spec.places import Places, Trail

COMPARISONS = ("equals", "at_least", "at_most", "more_than", "less_than")
CLAIMS = ("expect", "between", *COMPARISONS, "not_null")
_KEYS = (
    *("name", "description", "severity", "group_by", "grain", "filter", "start_time", "end_time"),
    *CLAIMS,
    *("metrics", "tolerance", "allow_null"),
)
_INPUT_KEYS = ("name", "alias", "filter", "group_by", "sum_over")
_HOME: Trail = ("config", "meta", "gemel")
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")

Scalar = str | int | float | bool | None
"""A value of a group-by item, as YAML has it."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a value may be from what is expected: `amount`, or that share of what is expected."""

    amount: int | float = 0
    relative: bool = False

    def __str__(self) -> str:
        return f"{self.amount * 100:g}%" if self.relative else format(Decimal(repr(self.amount)), "f")


@dataclass(frozen=True, slots=True)
class Row:
    """One expected value, of the group that `keys` name."""

    keys: tuple[tuple[str, Scalar], ...]
    value: int | float | None


@dataclass(frozen=True, slots=True)
class Expected:
    """Values that are known: each of its rows is there, and is this."""

    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """`at_least 0.8 * desktop`: what each group's value is held against, a number or an expression over metrics."""

    word: str
    bound: int | float | str


@dataclass(frozen=True, slots=True)
class Compared:
    """Comparisons that hold for each group. Without any, that there is a value."""

    comparisons: tuple[Comparison, ...] = ()


@dataclass(frozen=True, slots=True)
class Input:
    """A metric that an expression mentions as `handle`. None of its own are the test's filters and groups; `sum_over`
    are groups besides, whose values are added up."""

    name: str
    handle: str
    filters: tuple[str, ...] | None = None
    group_by: tuple[str, ...] | None = None
    sum_over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MetricTest:
    """What is claimed of a metric, for each group of `group_by` (and each `grain` of time)."""

    metric: str
    name: str
    claim: Expected | Compared
    path: Trail
    group_by: tuple[str, ...] = ()
    grain: str | None = None
    filters: tuple[str, ...] = ()
    start_time: str | None = None
    end_time: str | None = None
    inputs: tuple[Input, ...] = ()
    tolerance: Tolerance = Tolerance()
    allow_null: bool = False
    severity: Literal["error", "warn"] = "error"
    description: str | None = None

    @property
    def full_name(self) -> str:
        """`late_rate__known_months`, by which dbt knows it too."""
        return f"{self.metric}__{self.name}"

    @property
    def about(self) -> About:
        return About("metric", self.metric, path=self.path)


def read_metric_tests(metrics: Iterable[Metric]) -> tuple[tuple[MetricTest, ...], tuple[GemelError, ...]]:
    """The tests of all metrics, and what is to be said of those that cannot be read (G770, G771, G772, G775)."""
    tests: list[MetricTest] = []
    problems: list[GemelError] = []
    for metric in metrics:
        ours = metric.meta.get("gemel")
        if ours is not None and not metric.private:
            tests += _Reader(metric.name, problems).tests(ours)
    first: dict[str, MetricTest] = {}
    for test in tests:
        other = first.setdefault(test.full_name, test)
        if other.metric != test.metric:  # metric a, test b__c; metric a__b, test c
            told = f"a test of metric {other.metric!r} is called {test.full_name!r} too"
            problems.append(DefinitionError("G772", told, hint="give one of them another name", about=test.about))
    return tuple(tests), tuple(problems)


def lost_metric_tests(places: Places) -> list[GemelError]:
    """What is to be said of tests under a metric's own `meta`, which dbt keeps out of its semantic manifest (G777)."""
    return [
        DefinitionError(
            "G777",
            f"the tests of metric {name!r} stand under meta, which dbt keeps out of its semantic manifest: none runs",
            hint="write config: meta: gemel: tests:",
            place=place,
            about=About("metric", name),
        )
        for name, place in places.metrics_with(("meta", "gemel", "tests")).items()
    ]


class _Refused(Exception):
    """This test cannot be read further; the reason is already among the problems."""


class _Reader:
    """The tests of one metric. A path is where in the metric's YAML something stands."""

    def __init__(self, metric: str, problems: list[GemelError]) -> None:
        self.metric = metric
        self.problems = problems

    def tests(self, ours: Any) -> Iterator[MetricTest]:
        try:
            said = self.mapping(ours, _HOME, "gemel", ("tests",))
        except _Refused:
            return
        given = said.get("tests", [])
        if not isinstance(given, list):
            self.note("G770", (*_HOME, "tests"), f"tests must be a list, and is {shown(given)}")
            return
        taken: dict[str, int] = {}
        for place, item in enumerate(given):
            before = len(self.problems)
            try:
                test = self.test(item, (*_HOME, "tests", place), taken)
            except _Refused:
                continue
            if len(self.problems) == before:
                yield test

    def test(self, item: Any, path: Trail, taken: dict[str, int]) -> MetricTest:
        given = self.mapping(item, path, "a metric test", _KEYS)
        claim = self.claim(given, path)
        grain = self.text(given, "grain", path)
        group_by = self.texts(given, "group_by", path)
        if isinstance(claim, Expected):
            named = [key for key, _ in claim.rows[0].keys]
            if grain and "metric_time" not in named:
                self.note("G771", (*path, "grain"), "a grain is of metric_time, which the rows do not name")
            if group_by:
                self.note("G771", (*path, "group_by"), "the rows of expect name the groups", "leave group_by away")
        elif "grain" in given and any(item == "metric_time" for item in group_by):
            self.note("G770", (*path, "grain"), "metric_time is grouped by already", "leave one of the two away")
        severity = self.text(given, "severity", path) or "error"
        if severity not in ("error", "warn"):
            hint = did_you_mean(severity, ("error", "warn")) or "one of error, warn"
            self.note("G770", (*path, "severity"), f"severity cannot be {severity!r}", hint)
        return MetricTest(
            self.metric,
            self.name(given, path, taken),
            claim,
            path,
            group_by=group_by,
            grain=grain.lower() if grain else None,
            filters=self.texts(given, "filter", path),
            start_time=self.time(given, "start_time", path),
            end_time=self.time(given, "end_time", path),
            inputs=self.inputs(given, path),
            tolerance=self.tolerance(given, path),
            allow_null=self.flag(given, "allow_null", path),
            severity="warn" if severity == "warn" else "error",
            description=self.text(given, "description", path),
        )

    def name(self, given: Mapping[str, Any], path: Trail, taken: dict[str, int]) -> str:
        """Its own, or what it claims: `between`, and the next one `between_2`."""
        name = self.text(given, "name", path)
        if name is not None:
            if not _NAME.match(name):
                told = f"a metric test cannot be named {name!r}"
                self.note("G772", (*path, "name"), told, "lower-case letters, digits and underscores; dbt makes a file")
            if name in taken:
                self.note("G772", (*path, "name"), f"two tests of metric {self.metric!r} are named {name!r}")
            taken[name] = 1
            return name
        name = "_and_".join(word for word in CLAIMS if word in given)
        free, number = name, 1
        while free in taken:
            number += 1
            free = f"{name}_{number}"
        taken[free] = 1
        return free

    def claim(self, given: Mapping[str, Any], path: Trail) -> Expected | Compared:
        words = [word for word in CLAIMS if word in given]
        if not words:
            self.refuse("G771", path, "a metric test claims nothing", f"say one of {', '.join(CLAIMS)}")
        for word in ("expect", "between", "equals", "not_null"):
            if word in words and len(words) > 1:
                other = next(each for each in words if each != word)
                self.refuse("G771", (*path, other), f"{word} and {other} are two tests", "write each as one of its own")
        if "tolerance" in given and words[0] not in ("expect", "equals"):
            told = f"a tolerance is for expect and equals, and here it stands beside {words[0]}"
            self.note("G771", (*path, "tolerance"), told, "put it into the bound")
        match words[0]:
            case "expect":
                if "allow_null" in given or "metrics" in given:
                    word = "allow_null" if "allow_null" in given else "metrics"
                    hint = "a row may expect null" if word == "allow_null" else "compare metrics with equals"
                    self.note("G771", (*path, word), f"{word} means nothing beside expect", hint)
                return Expected(self.rows(given["expect"], (*path, "expect")))
            case "between":
                ends = given["between"]
                if not isinstance(ends, list) or len(ends) != 2:
                    told = f"between must be a list of two, the least and the greatest value, and is {shown(ends)}"
                    self.refuse("G770", (*path, "between"), told, "write `between: [0, 1]`")
                low, high = (self.bound(end, (*path, "between", number)) for number, end in enumerate(ends))
                if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
                    told = f"nothing is between {low} and {high}: the least value stands first"
                    self.note("G770", (*path, "between"), told)
                return Compared((Comparison("at_least", low), Comparison("at_most", high)))
            case "not_null":
                if given["not_null"] is not True:
                    self.note("G770", (*path, "not_null"), f"not_null can only be true, not {shown(given['not_null'])}")
                if "allow_null" in given:
                    self.note("G771", (*path, "allow_null"), "allow_null takes back what not_null says")
                return Compared()
            case _:
                return Compared(tuple(Comparison(word, self.bound(given[word], (*path, word))) for word in words))

    def rows(self, given: Any, path: Trail) -> tuple[Row, ...]:
        items = self.mapping(given, path, "expect", ("rows",)).get("rows")
        if not isinstance(items, list) or not items:
            self.refuse("G770", path, "expect needs rows", f"write `rows: [{{{self.metric}: 1}}]`, each group in a row")
        rows = []
        for number, item in enumerate(items):
            here = (*path, "rows", number)
            if not isinstance(item, dict):
                self.refuse("G770", here, f"a row must be a mapping of columns to values, and is {shown(item)}")
            if self.metric not in item:
                near = did_you_mean(self.metric, map(str, item))
                told = f"a row has no value for {self.metric!r}"
                self.refuse("G770", here, told, f"rename {near[13:-1]} to {self.metric}" if near else None)
            value = item[self.metric]
            if value is not None and not _is_number(value):
                self.refuse("G770", (*here, self.metric), f"a value must be a number or null, and is {shown(value)}")
            keys = {str(key): each for key, each in item.items() if key != self.metric}
            for key, each in keys.items():
                if isinstance(each, list | dict) or (isinstance(each, float) and not math.isfinite(each)):
                    self.refuse("G770", (*here, key), f"{key} must be one value, and is {shown(each)}")
            rows.append(Row(tuple(keys.items()), value))
            if keys.keys() != dict(rows[0].keys).keys():
                first = ", ".join(dict(rows[0].keys)) or "nothing"
                self.refuse("G770", here, f"this row names other groups than the first one, which names {first}")
            if rows[-1].keys in [row.keys for row in rows[:-1]]:
                self.refuse("G770", here, "this row is of the same group as another one")
        return tuple(rows)

    def bound(self, given: Any, path: Trail) -> int | float | str:
        if _is_number(given) or (isinstance(given, str) and given.strip()):
            return given  # type: ignore[no-any-return]
        told = f"{_last(path)} must be a number or an expression over metrics, and is {shown(given)}"
        self.refuse("G770", path, told)

    def inputs(self, given: Mapping[str, Any], path: Trail) -> tuple[Input, ...]:
        items = given.get("metrics", [])
        if not isinstance(items, list):
            self.refuse("G770", (*path, "metrics"), f"metrics must be a list, and is {shown(items)}")
        inputs: list[Input] = []
        for number, item in enumerate(items):
            here = (*path, "metrics", number)
            each = self.mapping(item, here, "a metric of a test", _INPUT_KEYS)
            name = self.text(each, "name", here)
            if name is None:
                self.refuse("G770", here, "a metric of a test needs a name")
            handle = (self.text(each, "alias", here) or name).lower()
            if handle == self.metric or handle in [other.handle for other in inputs]:
                told = f"{handle!r} is the name of another metric of this test"
                self.note("G770", here, told, "give it an alias, and say that in the expression")
            fewer = self.texts(each, "group_by", here) if "group_by" in each else None
            more = self.texts(each, "sum_over", here)
            filters = self.texts(each, "filter", here) if "filter" in each else None
            inputs.append(Input(name.lower(), handle, filters, fewer, more))
        return tuple(inputs)

    def tolerance(self, given: Mapping[str, Any], path: Trail) -> Tolerance:
        value = given.get("tolerance", 0)
        share = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", value) if isinstance(value, str) else None
        if share:
            return Tolerance(float(share[1]) / 100, relative=True)
        if not _is_number(value) or value < 0:
            told = f"tolerance must be a number, at least 0, or a share as 1%, and is {shown(value)}"
            self.refuse("G770", (*path, "tolerance"), told)
        return Tolerance(value)

    def flag(self, given: Mapping[str, Any], key: str, path: Trail) -> bool:
        value = given.get(key, False)
        if not isinstance(value, bool):
            self.note("G770", (*path, key), f"{key} must be true or false, and is {shown(value)}")
        return value is True

    def time(self, given: Mapping[str, Any], key: str, path: Trail) -> str | None:
        """dbt keeps a date of the YAML as a text; a manifest made by others may not."""
        value = given.get(key)
        if isinstance(value, dt.date):
            return value.isoformat()
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self.text(given, key, path)

    def text(self, given: Mapping[str, Any], key: str, path: Trail) -> str | None:
        value = given.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip():
            self.refuse("G770", (*path, key), f"{key} must be a text, and is {shown(value)}")
        return value.strip()

    def texts(self, given: Mapping[str, Any], key: str, path: Trail) -> tuple[str, ...]:
        """A list of texts, or one."""
        value = given.get(key, [])
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(each, str) and each.strip() for each in values):
            self.refuse("G770", (*path, key), f"{key} must be a text or a list of texts, and is {shown(value)}")
        return tuple(each.strip() for each in values)

    def mapping(self, given: Any, path: Trail, what: str, known: tuple[str, ...]) -> Mapping[str, Any]:
        if not isinstance(given, dict):
            self.refuse("G770", path, f"{what} must be a mapping of keys to values, and is {shown(given)}")
        for key in given:
            if key not in known:
                hint = _ELSEWHERE.get(str(key)) or did_you_mean(str(key), known) or f"known here: {', '.join(known)}"
                self.note("G770", (*path, str(key)), f"{what} has no key {key!r}", hint)
        return given

    def note(self, code: str, path: Trail, message: str, hint: str | None = None) -> None:
        about = About("metric", self.metric, path=path)
        self.problems.append(DefinitionError(code, message, hint=hint, about=about))

    def refuse(self, code: str, path: Trail, message: str, hint: str | None = None) -> NoReturn:
        self.note(code, path, message, hint)
        raise _Refused


_ELSEWHERE = {
    "where": "write filter, as metrics do: dbt leaves the template in it to us, and in no other key",
    "value": "an expected value stands in `expect: rows:`; a bound is equals, at_least or at_most",
    "expected": "did you mean expect?",
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _last(path: Trail) -> str:
    return next((part for part in reversed(path) if isinstance(part, str)), "it")
