"""gemel test"""

import datetime as dt
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from gemel.cli.options import items_option, say, takes_project
from gemel.json_text import json_text

if TYPE_CHECKING:
    from gemel.expectations.outcomes import Failure, Outcome, Status
    from gemel.project import Project

SHOWN = 5
"""The number of failing groups shown for each test."""


@click.command()
@items_option("--metrics", "-m", help="Only the tests of these metrics.")
@items_option("--select", "-s", help="Only these tests, such as `late_rate__known` or `late_*`.")
@click.option("--strict", is_flag=True, help="Exit 1 also if a test of severity warn fails.")
@click.option("--explain", "--compile", "explain", is_flag=True, help="Print the SQL without running it.")
@click.option("--all", "all_", is_flag=True, help=f"Show every failing group, not only {SHOWN} per test.")
@click.option(
    "--format",
    type=click.Choice(["text", "json", "junit"]),
    default="text",
    show_default=True,
    help="The output format.",
)
@takes_project
def command(
    project: "Project",
    *,
    metrics: tuple[str, ...],
    select: tuple[str, ...],
    strict: bool,
    explain: bool,
    all_: bool,
    format: str,
) -> None:
    """Run the tests of metrics, which are written in `config: meta: gemel: tests:`.

    \b
    gemel test
    gemel test --metrics late_rate
    gemel test --select "late_rate__*" --format json

    A test fails if a group does not meet its claim, is missing or is NULL, and if there is no group to test.
    """
    if explain:
        from gemel.expectations.suite import test_sql

        for name, sql in test_sql(project.session, metrics, select):
            click.echo(f"-- {name}\n{sql};\n")
        return
    from gemel.cli.progress import waiting

    with waiting("the database is answering"):
        outcomes = project.test(metrics, select)
    match format:
        case "json":
            click.echo(json_text([as_json(outcome) for outcome in outcomes], indent=2))
        case "junit":
            click.echo(junit(outcomes))
        case _:
            for outcome in outcomes:
                for line in lines(outcome, shown=len(outcome.failures) if all_ else SHOWN):
                    click.echo(line)
    say(verdict(outcomes, metrics))
    count = Counter(outcome.status for outcome in outcomes)
    if count["fail"] or count["error"] or (strict and count["warn"]):
        raise click.exceptions.Exit(1)


def lines(outcome: "Outcome", *, shown: int) -> Iterator[str]:
    """A line for the test, and one for each of the first `shown` groups that fail it."""
    from gemel.spec.fields import format_count
    from gemel.text_tables import table

    test = outcome.test
    count = f"  ({format_count(outcome.groups, 'group')})" if outcome.status == "pass" else ""
    yield f"{outcome.status:5} {test.full_name}{count}"
    if outcome.error is not None:
        yield from (f"      {line}" for line in str(outcome.error).splitlines())
    if outcome.status not in ("warn", "fail"):
        return
    if test.description:
        yield f"      {test.description}"
    failures = outcome.failures[:shown]
    if failures[0].problem == "no groups":
        yield "      there is no group to test, which counts as a failure"
        return
    yield f"      {len(outcome.failures)} of {format_count(outcome.groups, 'group')}"
    columns = (*(name for name, _ in failures[0].group), test.metric, expectation(outcome), "")
    places = _places(failures)
    rows = [_cells(failure, places) for failure in failures]
    yield from (f"      {line}" for line in table(columns, rows)[0])
    if len(failures) < len(outcome.failures):
        yield f"      … and {len(outcome.failures) - len(failures)} more: --all shows them"


def expectation(outcome: "Outcome") -> str:
    """The heading of the expected values, with the tolerance if there is one."""
    tolerance = outcome.test.tolerance
    return f"expected ± {tolerance}" if tolerance.amount else "expected"


def verdict(outcomes: Sequence["Outcome"], metrics: Sequence[str] = ()) -> str:
    """`7 metric tests: 5 passed, 1 warned, 1 failed`"""
    from gemel.spec.fields import format_count

    if not outcomes:
        if metrics:
            return f"{' and '.join(metrics)}: no metric test; `gemel test` without --metrics runs all of the project's"
        return "no metric has a test; docs/tests.md explains how to write one"
    count = Counter(outcome.status for outcome in outcomes)
    words: dict[Status, str] = {"pass": "passed", "warn": "warned", "fail": "failed", "error": "could not be run"}
    counts = ", ".join(f"{count[status]} {word}" for status, word in words.items() if count[status])
    return f"{format_count(len(outcomes), 'metric test')}: {counts}"


def as_json(outcome: "Outcome") -> dict[str, Any]:
    error = outcome.error
    return {
        "name": outcome.test.full_name,
        "metric": outcome.test.metric,
        "test": outcome.test.name,
        "description": outcome.test.description,
        "severity": outcome.test.severity,
        "status": outcome.status,
        "groups": outcome.groups,
        "failures": [
            {
                "group": {name: _readable(value) for name, value in failure.group},
                "value": _readable(failure.value),
                "expected": _readable(failure.expected),
                "problem": failure.problem,
            }
            for failure in outcome.failures
        ],
        "error": {"code": error.code, "message": error.message, "hint": error.hint} if error else None,
    }


def junit(outcomes: Sequence["Outcome"]) -> str:
    """JUnit's XML, which CI servers show: a suite with a case for each test."""
    from xml.etree import ElementTree as xml

    count = Counter(outcome.status for outcome in outcomes)
    totals = {"tests": len(outcomes), "failures": count["fail"], "errors": count["error"], "skipped": 0}
    suite = xml.Element("testsuite", {"name": "gemel", **{key: str(value) for key, value in totals.items()}})
    for outcome in outcomes:
        case = xml.SubElement(suite, "testcase", {"classname": outcome.test.metric, "name": outcome.test.full_name})
        text = _printable("\n".join(lines(outcome, shown=len(outcome.failures))))
        match outcome.status:
            case "fail" | "error":
                kind = "failure" if outcome.status == "fail" else "error"
                first = f"{len(outcome.failures)} groups" if outcome.error is None else _printable(str(outcome.error))
                xml.SubElement(case, kind, {"message": first}).text = text
            case "warn":
                xml.SubElement(case, "system-out").text = text
    return xml.tostring(suite, encoding="unicode", xml_declaration=True)


def _printable(text: str) -> str:
    """The text without characters that XML cannot hold."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", text)


def _cells(failure: "Failure", places: int) -> tuple[Any, ...]:
    values = [_readable(each) for each in (failure.value, failure.expected)]
    rounded = (round(each, places) if isinstance(each, float) else each for each in values)
    return (*(_readable(value) for _, value in failure.group), *rounded, failure.problem)


def _places(failures: Sequence["Failure"]) -> int:
    """The number of decimals, at least four, that distinguishes each value from the expected one."""
    pairs = [(each.value, each.expected) for each in failures]
    numbers = [pair for pair in pairs if all(isinstance(each, int | float | Decimal) for each in pair)]
    return next(
        (n for n in range(4, 15) if all(round(float(a), n) != round(float(b), n) for a, b in numbers if a != b)), 15
    )


def _readable(value: Any) -> Any:
    """A value as people write it: midnight as a date, a whole number without a fraction, NaN as text."""
    match value:
        case dt.datetime() if value.time() == dt.time.min:
            return value.date().isoformat()
        case dt.date():
            return value.isoformat()
        case bool():
            return value
        case Decimal() | float() if not math.isfinite(value):
            return str(value)
        case Decimal() | float():
            return int(value) if value == int(value) else value
        case _:
            return value
