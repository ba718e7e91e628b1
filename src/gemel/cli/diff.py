"""gemel diff"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from gemel.cli.options import items_option, say, takes_session
from gemel.json_text import json_text

if TYPE_CHECKING:
    from gemel.diff.asking import Reader
    from gemel.diff.meaning import Change
    from gemel.diff.numbers import MakeQueries, Moved
    from gemel.session import Session

FAILS = ("added", "removed", "changed", "touched", "description")


def _share(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    try:
        number = float(value.strip().removesuffix("%"))
    except ValueError:
        number = -1.0
    if not value.strip().endswith("%") or not 0 <= number < float("inf"):
        raise click.BadParameter("write a percentage, such as 1%")
    return number / 100


def _words(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    words = tuple(word.strip() for value in values for word in value.split(","))
    for word in words:
        if word not in FAILS:
            raise click.BadParameter(f"{word!r} is not one of {', '.join(FAILS)}")
    return words


@click.command()
@click.argument("base")
@click.option("--numbers", is_flag=True, help="Show by how much each touched metric and feature moves.")
@click.option("--sql", is_flag=True, help="Show the SQL of changed metrics and models, before and after.")
@items_option("--metrics", "--metric", "-m", help="Only these metrics, with every group before and after.")
@items_option("--group-by", "-g", help="The groups in which metrics are compared. Default: metric_time.")
@click.option("--where", "-w", multiple=True, help="A filter on rows, as in `gemel query`. Repeat it for AND.")
@click.option("--start-time", metavar="TIME", help="Compare from this time on, inclusive.")
@click.option("--end-time", metavar="TIME", help="Compare up to this time, inclusive.")
@click.option("--candidate", metavar="METRIC", help="Compare the one metric with this metric, instead of itself.")
@click.option("--limit", type=click.IntRange(1), help="At most this many groups of --metrics, the most changed first.")
@click.option(
    "--max-change", metavar="SHARE", callback=_share, help="Exit 1 if a group moves by more than this, such as 1%."
)
@click.option(
    "--fail-on", multiple=True, metavar="WORDS", callback=_words, help=f"Exit 1 if something is {', '.join(FAILS)}."
)
@click.option(
    "--base-database",
    type=click.Path(exists=True, dir_okay=False),
    help="A DuckDB file that BASE was built into, for its numbers.",
)
@click.option(
    "--format",
    type=click.Choice(["table", "json", "markdown"]),
    default="table",
    show_default=True,
    help="The output format; markdown is for pull requests.",
)
@takes_session
def command(
    session: "Session",
    *,
    base: str,
    numbers: bool,
    sql: bool,
    metrics: tuple[str, ...],
    group_by: tuple[str, ...],
    where: tuple[str, ...],
    start_time: str | None,
    end_time: str | None,
    candidate: str | None,
    limit: int | None,
    max_change: float | None,
    fail_on: tuple[str, ...],
    base_database: str | None,
    format: str,
) -> None:
    """Show what changed in meaning since BASE, what it affects, and by how much numbers move.

    BASE is a git revision, a directory with a dbt project, or a saved semantic_manifest.json.

    \b
    gemel diff main
    gemel diff HEAD~1 --numbers --max-change 1%
    gemel diff HEAD~1 --metrics late_rate --group-by carrier__name --start-time 2013-06-01
    gemel diff HEAD --metrics late_rate --candidate late_rate_30 --group-by carrier__name
    """
    from gemel.diff import report
    from gemel.diff.asking import open_readers
    from gemel.diff.comparison import read_comparison
    from gemel.diff.numbers import make_queries

    if candidate and len(metrics) != 1:
        raise click.UsageError("--candidate is compared with one metric: name it with --metrics")
    params = click.get_current_context().params
    tell = (lambda line: None) if params["quiet"] else say
    comparison = read_comparison(session, base, manifest=params["manifest"], say=tell)
    before, after, changes = comparison.before, comparison.after, comparison.changes
    for line in comparison.heading:
        tell(line)
    if metrics:
        requested = [comparison.metric(name, candidate=candidate) for name in metrics]
        changes = comparison.of_metrics(requested)
    moved: list[Moved] = []
    sides: tuple[Reader, Reader] | None = None
    if numbers or metrics or group_by or where or start_time or end_time or max_change is not None:
        sides = open_readers(before, after, base_database=base_database, say=tell)
        times, timezone = (start_time, end_time), after.session.graph.timezone
        make = make_queries(group_by, where, times=times, candidate=candidate, timezone=timezone)
        names = requested if metrics else _metrics(changes)
        moved = _numbers(sides, changes, names=names, make=make, metrics=metrics, times=times)
    texts = list(report.texts(before, after, report.with_models(changes, comparison.changes))) if sql else []
    match format:
        case "json":
            content = report.as_json(before, after, changes, moved, texts)
            click.echo(json_text(content, indent=2))
        case "markdown":
            for line in report.as_markdown(before, after, changes, moved, texts):
                click.echo(line)
        case _:
            _write(changes, moved, metrics=metrics)
            if metrics and sides is not None:
                _write_groups(sides, names, make, moved, limit)
            for text in texts:
                click.echo(f"\n{text.kind} {text.name}")
                for line in text.lines:
                    click.echo(line)
    if not candidate:
        tell(report.summary(changes))
    failed = [f"{each.kind} {each.name} is {each.how}" for each in changes if each.how in fail_on]
    if max_change is not None:
        failed += [report.excess(each, max_change) for each in moved if each.why or each.exceeds(max_change)]
    for line in failed:
        say(line)
    if failed:
        raise click.exceptions.Exit(1)


def _metrics(changes: "Sequence[Change]") -> list[str]:
    return [each.name for each in changes if each.kind == "metric" and each.how in ("changed", "touched")]


def _numbers(
    sides: "tuple[Reader, Reader]",
    changes: "Sequence[Change]",
    *,
    names: Sequence[str],
    make: "MakeQueries",
    metrics: Sequence[str],
    times: tuple[str | None, str | None],
) -> "list[Moved]":
    from gemel.cli.progress import waiting
    from gemel.compiler.question.bounds import first_moment, last_moment
    from gemel.diff.numbers import Times, feature_numbers, last_known_moment, metric_numbers

    with waiting("the database is answering"):
        moved = list(metric_numbers(*sides, names=names, make=make))
        if not metrics:
            start, end = first_moment(times[0]), last_moment(times[1])  # the moments of features are in UTC
            span = Times(start=start, end=end, until=last_known_moment(sides[1].state))
            moved += feature_numbers(*sides, changes=changes, times=span)
    return moved


def _write(changes: "Sequence[Change]", moved: "Sequence[Moved]", *, metrics: Sequence[str]) -> None:
    from gemel.cli.output import write_rows
    from gemel.diff import report

    if changes:
        write_rows(report.CHANGES, report.change_rows(changes), format="table")
    if moved and not metrics:
        click.echo("")
        write_rows(report.NUMBERS, report.number_rows(moved), format="table")


def _write_groups(
    sides: "tuple[Reader, Reader]",
    names: Sequence[str],
    make: "MakeQueries",
    moved: "Sequence[Moved]",
    limit: int | None,
) -> None:
    """Every group of each metric before and after, and the distribution of the differences."""
    from gemel.cli.output import write_rows
    from gemel.diff import report
    from gemel.diff.numbers import side_by_side

    for name, metric in zip(names, moved, strict=True):
        table = side_by_side(*sides, make(name), limit=limit)
        rows = [tuple(row.values()) for row in table.to_pylist()]
        click.echo(f"\n{name}: {metric.moved} of {metric.groups} groups moved")
        write_rows(table.column_names, rows, format="table")
        if metric.quantiles:
            click.echo("\nhow the differences are spread")
            columns, row = report.quantile_row(metric)
            write_rows(columns, [row], format="table", decimals=4)
