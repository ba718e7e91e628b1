"""Metric tests as they are written beside a metric, in `config: meta: gemel: tests:`, read into frozen values.

What is wrong is noted with its path inside the metric, and reading goes on: `Places` finds the line of a path.
"""

import datetime as dt
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, count
from typing import Any, Literal

from gemel.errors import About, DefinitionError, GemelError, did_you_mean
from gemel.spec.metrics import Metric
from gemel.spec.nodes import Keys, Node, Notes, Pairs, Refused, read_each
from gemel.spec.places import Places, Trail

COMPARISONS = ("equals", "at_least", "at_most", "more_than", "less_than")
CLAIMS = ("expect", "between", *COMPARISONS, "not_null")
_KEYS = (
    *("name", "description", "severity", "group_by", "grain", "filter", "start_time", "end_time"),
    *CLAIMS,
    *("metrics", "tolerance", "allow_null"),
)
_INPUT_KEYS = ("name", "alias", "filter", "group_by", "sum_over")
_ELSEWHERE = {
    "where": "write filter, as metrics do: dbt leaves the template in it to us, and in no other key",
    "value": "an expected value stands in `expect: rows:`; a bound is equals, at_least or at_most",
    "expected": "did you mean expect?",
}
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
            tests += _tests(metric.name, ours, problems)
    first: dict[str, MetricTest] = {}
    for test in tests:
        other = first.setdefault(test.full_name, test)
        if other.metric != test.metric:  # metric a, test b__c; metric a__b, test c
            told = f"a test of metric {other.metric!r} is called {test.full_name!r} too"
            problems.append(DefinitionError("G772", told, hint="give one of them another name", about=test.about))
    return tuple(tests), tuple(problems)


def report_lost_metric_tests(places: Places) -> list[GemelError]:
    """What is to be said of tests under a metric's own `meta`, which dbt keeps out of its semantic manifest (G777)."""
    return [
        DefinitionError(
            "G777",
            f"the tests of metric {name!r} stand under meta, which dbt keeps out of its semantic manifest: none runs",
            hint="write config: meta: gemel: tests:",
            place=place,
            about=About("metric", name),
        )
        for name, place in places.find_metrics_with(("meta", "gemel", "tests")).items()
    ]


def _tests(metric: str, meta: Any, problems: list[GemelError]) -> Iterator[MetricTest]:
    """The tests of one metric, of what stands under `gemel:` in its meta."""
    node = Node(meta, About("metric", metric, path=_HOME), Notes(DefinitionError, "G770", problems))
    try:
        items = node.keys("gemel", ("tests",)).items("tests")
    except Refused:
        return
    taken: set[str] = set()
    yield from read_each(items, lambda item: _test(metric, item, taken))


def _test(metric: str, node: Node, taken: set[str]) -> MetricTest:
    keys = node.keys("a metric test", _KEYS, hints=_ELSEWHERE)
    claim = _claim(metric, keys)
    grain, group_by = keys.text("grain"), keys.texts("group_by")
    if isinstance(claim, Expected):
        named = [key for key, _ in claim.rows[0].keys]
        if grain and "metric_time" not in named:
            keys["grain"].note("a grain is of metric_time, which the rows do not name", code="G771")
        if group_by:
            keys["group_by"].note("the rows of expect name the groups", "leave group_by away", code="G771")
    elif "grain" in keys and "metric_time" in group_by:
        keys["grain"].note("metric_time is grouped by already", "leave one of the two away")
    return MetricTest(
        metric,
        _name(metric, keys, taken),
        claim,
        node.path,
        group_by=group_by,
        grain=grain.lower() if grain else None,
        filters=keys.texts("filter"),
        start_time=_time(keys, "start_time"),
        end_time=_time(keys, "end_time"),
        inputs=tuple(_inputs(metric, keys)),
        tolerance=_tolerance(keys),
        allow_null=keys.flag("allow_null", default=False),
        severity="warn" if keys.choice("severity", ("error", "warn")) == "warn" else "error",
        description=keys.text("description"),
    )


def _name(metric: str, keys: Keys, taken: set[str]) -> str:
    """Its own, or what it claims: `between`, and the next one `between_2`."""
    own = keys.text("name")
    if own and not _NAME.match(own):
        told = f"a metric test cannot be named {own!r}"
        keys["name"].note(told, "lower-case letters, digits and underscores; dbt makes a file", code="G772")
    if own and own in taken:
        keys["name"].note(f"two tests of metric {metric!r} are named {own!r}", code="G772")
    claimed = "_and_".join(word for word in CLAIMS if word in keys)
    numbered = (f"{claimed}_{number}" for number in count(2))
    name = own or next(name for name in chain((claimed,), numbered) if name not in taken)
    taken.add(name)
    return name


def _claim(metric: str, keys: Keys) -> Expected | Compared:
    words = [word for word in CLAIMS if word in keys]
    if not words:
        keys.node.refuse("a metric test claims nothing", f"say one of {', '.join(CLAIMS)}", code="G771")
    for word in ("expect", "between", "equals", "not_null"):
        if word in words and len(words) > 1:
            other = next(each for each in words if each != word)
            keys[other].refuse(f"{word} and {other} are two tests", "write each as one of its own", code="G771")
    if "tolerance" in keys and words[0] not in ("expect", "equals"):
        told = f"a tolerance is for expect and equals, and here it stands beside {words[0]}"
        keys["tolerance"].note(told, "put it into the bound", code="G771")
    node = keys[words[0]]
    match words[0]:
        case "expect":
            if "allow_null" in keys or "metrics" in keys:
                word = "allow_null" if "allow_null" in keys else "metrics"
                hint = "a row may expect null" if word == "allow_null" else "compare metrics with equals"
                keys[word].note(f"{word} means nothing beside expect", hint, code="G771")
            return Expected(_rows(metric, node))
        case "between":
            ends = node.value if isinstance(node.content, list) else []
            if len(ends) != 2:
                told = f"between must be a list of two, the least and the greatest value, not {node}"
                node.refuse(told, "write `between: [0, 1]`")
            low, high = (_bound(end, "between") for end in ends)
            if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
                node.note(f"nothing is between {low} and {high}: the least value stands first")
            return Compared((Comparison("at_least", low), Comparison("at_most", high)))
        case "not_null":
            if node.value is not True:
                node.note(f"not_null can only be true, not {node}")
            if "allow_null" in keys:
                keys["allow_null"].note("allow_null takes back what not_null says", code="G771")
            return Compared()
        case _:
            return Compared(tuple(Comparison(word, _bound(keys[word], word)) for word in words))


def _rows(metric: str, node: Node) -> tuple[Row, ...]:
    keys = node.keys("expect", ("rows",))
    items = keys["rows"].value if "rows" in keys else None
    if not isinstance(items, list) or not items:
        node.refuse("expect needs rows", f"write `rows: [{{{metric}: 1}}]`, each group in a row")
    rows: list[Row] = []
    for item in items:
        values = item.keys("a row").nodes
        if metric not in values:
            near = did_you_mean(metric, values)
            item.refuse(f"a row has no value for {metric!r}", f"rename {near[13:-1]} to {metric}" if near else None)
        value = values[metric].value
        if value is not None and not _is_number(value):
            values[metric].refuse(f"a value must be a number or null, not {values[metric]}")
        groups = {key: each.value for key, each in values.items() if key != metric}
        for key, each in groups.items():
            if isinstance(each, list | Pairs) or (isinstance(each, float) and not math.isfinite(each)):
                values[key].refuse(f"{key} must be one value, not {values[key]}")
        rows.append(Row(tuple(groups.items()), value))
        if groups.keys() != dict(rows[0].keys).keys():
            first = ", ".join(dict(rows[0].keys)) or "nothing"
            item.refuse(f"this row names other groups than the first one, which names {first}")
        if rows[-1].keys in [row.keys for row in rows[:-1]]:
            item.refuse("this row is of the same group as another one")
    return tuple(rows)


def _bound(node: Node, what: str) -> int | float | str:
    value: int | float | str = node.value
    if _is_number(value) or (isinstance(value, str) and value.strip()):
        return value
    node.refuse(f"{what} must be a number or an expression over metrics, not {node}")


def _inputs(metric: str, test: Keys) -> Iterator[Input]:
    handles = {metric}
    for item in test.items("metrics"):
        keys = item.keys("a metric of a test", _INPUT_KEYS, required=("name",))
        name = keys["name"].text("name").lower()
        handle = (keys.text("alias") or name).lower()
        if handle in handles:
            told = f"{handle!r} is the name of another metric of this test"
            item.note(told, "give it an alias, and say that in the expression")
        handles.add(handle)
        filters = keys.texts("filter") if "filter" in keys else None
        fewer = keys.texts("group_by") if "group_by" in keys else None
        yield Input(name, handle, filters, fewer, keys.texts("sum_over"))


def _tolerance(keys: Keys) -> Tolerance:
    if "tolerance" not in keys:
        return Tolerance()
    value = keys["tolerance"].value
    share = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", value) if isinstance(value, str) else None
    if share:
        return Tolerance(float(share[1]) / 100, relative=True)
    if not _is_number(value) or value < 0:
        told = f"tolerance must be a number, at least 0, or a share as 1%, not {keys['tolerance']}"
        keys["tolerance"].refuse(told)
    return Tolerance(value)


def _time(keys: Keys, key: str) -> str | None:
    """dbt keeps a date of the YAML as a text; a manifest made by others may not."""
    value = keys[key].value if key in keys else None
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return keys.text(key)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
