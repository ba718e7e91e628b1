"""gemel validate"""

import functools
import json
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from gemel.cli.metricflow import accepts
from gemel.cli.options import say, takes_project_to_validate
from gemel.errors import GemelError, Problems
from gemel.spec.fields import format_count

if TYPE_CHECKING:
    from gemel.project import Project


def reports_json(function: Callable[..., Any]) -> Callable[..., Any]:
    """With `--format json`, the errors of a project that cannot be opened are a list of findings too."""

    @functools.wraps(function)
    def run(**options: Any) -> Any:
        try:
            return function(**options)
        except GemelError as error:
            if options["format"] != "json":
                raise
            errors = error.errors if isinstance(error, Problems) else (error,)
            click.echo(json.dumps([as_json(each) for each in errors], indent=2))
            raise click.exceptions.Exit(1) from None

    return run


@click.command()
@click.option("--skip-dw", is_flag=True, help="Check only the definitions; do not query the database.")
@click.option(
    "--data",
    is_flag=True,
    help="Read the tables' rows too: whether keys are unique, and all facts in the time spine.",
)
@click.option("--strict", is_flag=True, help="Exit 1 also if there are warnings.")
@click.option("--notes", "--show-all", "notes", is_flag=True, help="Show notes too.")
@click.option(
    "--format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="The output format."
)
@reports_json
@accepts("--verbose-issues", "--semantic-validation-workers", "--dw-timeout", "--timeout")
@takes_project_to_validate
def command(project: "Project", *, skip_dw: bool, data: bool, strict: bool, notes: bool, format: str) -> None:
    """Check every definition, and its SQL in the database. All problems are reported at once.

    Exits 1 if there are errors, and with --strict also if there are warnings.
    """
    from gemel.session import UNREACHABLE

    if data and skip_dw:
        raise click.UsageError("--data reads the database, and --skip-dw does not query it: use one of them")
    findings = project.validate(skip_dw=skip_dw, data=data)
    count: Counter[str] = Counter(finding.severity for finding in findings)
    if format == "json":
        click.echo(json.dumps([as_json(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            if notes or finding.severity != "note":
                say(str(finding))
        is_unasked = skip_dw or any(each.code in UNREACHABLE for each in findings)
        say(verdict(project, count, notes=notes) + (" (the database was not queried)" if is_unasked else ""))
    if count["error"] or (strict and count["warning"]):
        raise click.exceptions.Exit(1)


def as_json(finding: GemelError) -> dict[str, Any]:
    place, about = finding.place, finding.about
    return {
        "severity": finding.severity,
        "code": finding.code,
        "message": finding.message,
        "hint": finding.hint,
        "file": place.file if place else None,
        "line": place.line if place else None,
        "column": place.column if place else None,
        "kind": about.kind if about else None,
        "name": about.name if about else None,
        "element": about.element if about else None,
    }


def verdict(project: "Project", count: Counter[str], *, notes: bool) -> str:
    """`12 metrics, 1 saved query, 2 feature views: 1 error, 2 warnings`"""
    checked = [
        format_count(len(project.metrics()), "metric"),
        format_count(len(project.saved_queries()), "saved query"),
    ]
    if not count["error"]:
        from gemel.features.opened import bound_features

        features = bound_features(project.session)
        checked.append(format_count(len(features.views), "feature view"))
        if features.on_demand:
            checked.append(format_count(len(features.on_demand), "on-demand view"))
    problems = [format_count(count[kind], kind) for kind in ("error", "warning") if count[kind]] or ["no problem"]
    if count["note"]:
        problems.append(format_count(count["note"], "note") + ("" if notes else " (--notes shows them)"))
    return f"{', '.join(checked)}: {', '.join(problems)}"
