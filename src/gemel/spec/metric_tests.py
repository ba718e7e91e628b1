"""Reads the metric tests in a metric's `config: meta: gemel: tests:` into frozen values.

Each problem is noted with its path inside the metric, and reading continues. `Places` finds the line of a path.
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
    "where": "write filter, as in metrics: it is the only key whose template dbt does not render",
    "value": "write an expected value in `expect: rows:`, and a bound as equals, at_least or at_most",
    "expected": "did you mean expect?",
}
_HOME: Trail = ("config", "meta", "gemel")
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")

Scalar = str | int | float | bool | None
"""A value of a group-by item in YAML."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a value may be from the expected value: `amount`, or that share of the expected value."""

    amount: int | float = 0
    relative: bool = False

    def __str__(self) -> str:
        return f"{self.amount * 100:g}%" if self.relative else format(Decimal(repr(self.amount)), "f")


@dataclass(frozen=True, slots=True)
class Row:
    """The expected value of the group that `keys` identify."""

    keys: tuple[tuple[str, Scalar], ...]
    value: int | float | None


@dataclass(frozen=True, slots=True)
class Expected:
    """The claim that each of these groups exists, with this value."""

    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """`at_least 0.8 * desktop`: compares each group's value with a number or an expression over metrics."""

    word: str
    bound: int | float | str


@dataclass(frozen=True, slots=True)
class Compared:
    """The claim that comparisons hold for each group; without comparisons, that each group has a value."""

    comparisons: tuple[Comparison, ...] = ()


@dataclass(frozen=True, slots=True)
class Input:
    """A metric that an expression mentions as `handle`. Filters and groups that are None are those of the test;
    `sum_over` lists additional groups, whose values are added up."""

    name: str
    handle: str
    filters: tuple[str, ...] | None = None
    group_by: tuple[str, ...] | None = None
    sum_over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MetricTest:
    """A claim about a metric, for each group of `group_by` (and each `grain` of time)."""

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
        """`late_rate__known_months`, which is also its name in dbt."""
        return f"{self.metric}__{self.name}"

    @property
    def about(self) -> About:
        return About("metric", self.metric, path=self.path)


def read_metric_tests(metrics: Iterable[Metric]) -> tuple[tuple[MetricTest, ...], tuple[GemelError, ...]]:
    """The valid tests of all metrics, and the errors in the others (G770, G771, G772, G775)."""
    tests: list[MetricTest] = []
    problems: list[GemelError] = []
    for metric in metrics:
        meta = metric.meta.get("gemel")
        if meta is not None and not metric.private:
            tests += _tests(metric.name, meta, problems)
    first: dict[str, MetricTest] = {}
    for test in tests:
        other = first.setdefault(test.full_name, test)
        if other.metric != test.metric:  # metric a, test b__c; metric a__b, test c
            message = f"a test of metric {other.metric!r} has the name {test.full_name!r} too"
            problems.append(DefinitionError("G772", message, hint="rename one of them", about=test.about))
    return tuple(tests), tuple(problems)


def report_lost_metric_tests(places: Places) -> list[GemelError]:
    """The errors for tests under a metric's `meta` key, which dbt omits from its semantic manifest (G777)."""
    return [
        DefinitionError(
            "G777",
            f"the tests of metric {name!r} are under meta, which dbt omits from its semantic manifest: none runs",
            hint="move them to config: meta: gemel: tests:",
            place=place,
            about=About("metric", name),
        )
        for name, place in places.find_metrics_with(("meta", "gemel", "tests")).items()
    ]


def _tests(metric: str, meta: Any, problems: list[GemelError]) -> Iterator[MetricTest]:
    """The tests of one metric, from the `gemel:` key of its meta."""
    node = Node(meta, About("metric", metric, path=_HOME), Notes(DefinitionError, "G770", problems))
    try:
        items = node.keys("gemel", ("tests", "type")).nodes("tests")
    except Refused:
        return
    names: set[str] = set()
    yield from read_each(items, lambda item: _test(metric, item, names))


def _test(metric: str, node: Node, names: set[str]) -> MetricTest:
    keys = node.keys("a metric test", _KEYS, hints=_ELSEWHERE)
    claim = _claim(metric, keys)
    grain, group_by = keys.text("grain"), keys.texts("group_by")
    if isinstance(claim, Expected):
        groups = [key for key, _ in claim.rows[0].keys]
        if grain and "metric_time" not in groups:
            keys["grain"].note("a grain applies to metric_time, which the rows do not name", code="G771")
        if group_by:
            keys["group_by"].note("the rows of expect name the groups already", "omit group_by", code="G771")
    elif "grain" in keys and "metric_time" in group_by:
        keys["grain"].note("group_by has metric_time already", "omit one of the two")
    return MetricTest(
        metric,
        _name(metric, keys, names),
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


def _name(metric: str, keys: Keys, names: set[str]) -> str:
    """The test's own name, or one from its claim: `between`, then `between_2`."""
    own = keys.text("name")
    if own and not _NAME.match(own):
        message = f"a metric test cannot be named {own!r}"
        keys["name"].note(message, "use lower-case letters, digits and underscores: it names a file", code="G772")
    if own and own in names:
        keys["name"].note(f"two tests of metric {metric!r} are named {own!r}", code="G772")
    claims = "_and_".join(word for word in CLAIMS if word in keys)
    numbered = (f"{claims}_{number}" for number in count(2))
    name = own or next(name for name in chain((claims,), numbered) if name not in names)
    names.add(name)
    return name


def _claim(metric: str, keys: Keys) -> Expected | Compared:
    words = [word for word in CLAIMS if word in keys]
    if not words:
        keys.node.refuse("a metric test needs a claim", f"write one of {', '.join(CLAIMS)}", code="G771")
    for word in ("expect", "between", "equals", "not_null"):
        if word in words and len(words) > 1:
            other = next(each for each in words if each != word)
            keys[other].refuse(f"{word} and {other} are two tests", "write each as a separate test", code="G771")
    if "tolerance" in keys and words[0] not in ("expect", "equals"):
        message = f"a tolerance is only for expect and equals, not for {words[0]}"
        keys["tolerance"].note(message, "include it in the bound", code="G771")
    node = keys[words[0]]
    match words[0]:
        case "expect":
            if "allow_null" in keys or "metrics" in keys:
                word = "allow_null" if "allow_null" in keys else "metrics"
                hint = "a row may expect null" if word == "allow_null" else "compare metrics with equals"
                keys[word].note(f"{word} has no effect with expect", hint, code="G771")
            return Expected(_rows(metric, node))
        case "between":
            ends = node.value if isinstance(node.content, list) else []
            if len(ends) != 2:
                message = f"between must be a list of two, the least and the greatest value, not {node}"
                node.refuse(message, "write `between: [0, 1]`")
            low, high = (_bound(end, "between") for end in ends)
            if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
                node.note(f"nothing is between {low} and {high}: write the least value first")
            return Compared((Comparison("at_least", low), Comparison("at_most", high)))
        case "not_null":
            if node.value is not True:
                node.note(f"not_null can only be true, not {node}")
            if "allow_null" in keys:
                keys["allow_null"].note("allow_null contradicts not_null", code="G771")
            return Compared()
        case _:
            return Compared(tuple(Comparison(word, _bound(keys[word], word)) for word in words))


def _rows(metric: str, node: Node) -> tuple[Row, ...]:
    keys = node.keys("expect", ("rows",))
    items = keys["rows"].value if "rows" in keys else None
    if not isinstance(items, list) or not items:
        node.refuse("expect needs rows", f"write `rows: [{{{metric}: 1}}]`, with a row for each group")
    rows: list[Row] = []
    for item in items:
        values = item.keys("a row")
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
            item.refuse(f"this row has other group keys than the first one, which names {first}")
        if rows[-1].keys in [row.keys for row in rows[:-1]]:
            item.refuse("another row has the same group")
    return tuple(rows)


def _bound(node: Node, word: str) -> int | float | str:
    value: int | float | str = node.value
    if _is_number(value) or (isinstance(value, str) and value.strip()):
        return value
    node.refuse(f"{word} must be a number or an expression over metrics, not {node}")


def _inputs(metric: str, test: Keys) -> Iterator[Input]:
    handles = {metric}
    for item in test.nodes("metrics"):
        keys = item.keys("a metric of a test", _INPUT_KEYS, required=("name",))
        name = keys["name"].text("name").lower()
        handle = (keys.text("alias") or name).lower()
        if handle in handles:
            message = f"{handle!r} is the name of another metric of this test"
            item.note(message, "give it an alias, and use that in the expression")
        handles.add(handle)
        filters = keys.texts("filter") if "filter" in keys else None
        groups = keys.texts("group_by") if "group_by" in keys else None
        yield Input(name, handle, filters, groups, keys.texts("sum_over"))


def _tolerance(keys: Keys) -> Tolerance:
    if "tolerance" not in keys:
        return Tolerance()
    value = keys["tolerance"].value
    share = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", value) if isinstance(value, str) else None
    if share:
        return Tolerance(float(share[1]) / 100, relative=True)
    if not _is_number(value) or value < 0:
        keys["tolerance"].refuse(
            f"tolerance must be a number of at least 0, or a share such as 1%, not {keys['tolerance']}"
        )
    return Tolerance(value)


def _time(keys: Keys, key: str) -> str | None:
    """A time as a text, which is how dbt writes it; manifests from other tools may have dates or numbers."""
    value = keys[key].value if key in keys else None
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return keys.text(key)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
