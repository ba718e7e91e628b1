"""gemel verify"""

import datetime as dt
from typing import TYPE_CHECKING

import click

from gemel.cli.options import say, takes_project
from gemel.json_text import json_text
from gemel.spec.fields import format_count

if TYPE_CHECKING:
    from gemel.project import Project
    from gemel.proof.report import Report

EXAMPLES = 10


@click.command()
@click.option(
    "--at",
    "at",
    multiple=True,
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"]),
    metavar="MOMENT",
    help="Compare at this moment (UTC). Repeat it for more. Default: spread over each table's time.",
)
@click.option(
    "--moments", type=click.IntRange(1), default=5, show_default=True, help="The number of moments, if none is named."
)
@click.option(
    "--select",
    "-s",
    multiple=True,
    metavar="NAME",
    help="Only this service, view or `view.feature`. Repeat it for more. Default: every feature of every view.",
)
@click.option(
    "--threshold",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="Exit 0 if at most this many values are wrong.",
)
@click.option(
    "--format", type=click.Choice(["table", "json"]), default="table", show_default=True, help="The output format."
)
@takes_project
def command(
    project: "Project",
    *,
    at: tuple[dt.datetime, ...],
    moments: int,
    select: tuple[str, ...],
    threshold: int,
    format: str,
) -> None:
    """Prove that BI number = feature table = training set = online feature, for every feature of every view.

    \b
    gemel verify
    gemel verify --at 2013-07-01 --at 2013-12-01T06:00
    gemel verify --select carrier_punctuality --select origin_congestion.departures_1h
    """
    quiet = click.get_current_context().params["quiet"]
    report = project.verify(at=at, moments=moments, select=select, say=(lambda line: None) if quiet else say)
    write_report(report, format=format)
    if report.failed(threshold):
        raise click.exceptions.Exit(1)


def write_report(report: "Report", *, format: str) -> None:
    """Write counts by feature to stdout, examples and the verdict to stderr; or all of it as JSON to stdout."""
    from gemel.cli.output import write_rows

    if format == "json":
        click.echo(json_text(report.json(), indent=2))
        return
    columns = ("view", "feature", "compared", "equal", "different", "missing", "extra")
    rows = [(c.view, c.feature, c.compared, c.equal, c.different, c.missing, c.extra) for c in report.counts.values()]
    write_rows(columns, rows, format="table")
    for difference in report.differences[:EXAMPLES]:
        click.echo(str(difference))
    if len(report.differences) > EXAMPLES:
        kept = "them all" if len(report.differences) == report.wrong else f"the first {len(report.differences):,}"
        click.echo(f"... and {report.wrong - EXAMPLES:,} more; --format json has {kept}")
    for view, count in report.others.items():
        say(f"{view}: {format_count(count, 'entity')} online that its table does not have")
    for view, why in report.unlisted.items():
        say(f"{view}: only entities of its table were looked up online, as others cannot be listed: {why}")
    for view, count in report.pushed.items():
        say(f"{view}: {count:,} entities have pushed rows online that are newer than the table; they were not compared")
    for view, stale in report.stale.items():
        if stale.entities:
            many = f"{stale.entities:,} of {stale.online:,}"
            say(f"{view}: {many} entities online are older than its ttl of {stale.ttl}; Feast serves them anyway")
    for view, moment in report.without_facts.items():
        say(f"{view}: its table has no rows, and BI no facts before {moment:%Y-%m-%d %H:%M}: nothing to compare")
    for reason in report.reasons:
        say(reason)
    say(report.verdict())
