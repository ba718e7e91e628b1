"""gemel query"""

from typing import TYPE_CHECKING

import click

from gemel.cli.metricflow import accepts
from gemel.cli.options import items_option, say, takes_project
from gemel.cli.output import output_options, write_answer

if TYPE_CHECKING:
    from gemel.project import Project


@click.command()
@items_option("--metrics", "-m", help="Metrics, such as `revenue,orders`; with a window: `revenue[7 days]`.")
@items_option(
    "--group-by",
    "-g",
    help="Dimensions and entities, such as `metric_time__month,customer__region`, or in dbt's call syntax.",
)
@click.option("--where", "-w", multiple=True, help="A filter on rows, with `{{ Dimension(...) }}`. Repeat it for AND.")
@click.option(
    "--trusted-where",
    multiple=True,
    metavar="SQL",
    help="A filter on rows in the warehouse's own words, which you trust.",
)
@click.option("--having", multiple=True, help="A filter on the result, such as `revenue > 100`.")
@click.option(
    "--start-time",
    metavar="TIME",
    help="From this time on, inclusive: 2024-01-31, 2024-01, 2024-01-31T12:00, `7 days ago`.",
)
@click.option("--end-time", metavar="TIME", help="Up to this time, inclusive.")
@items_option("--order", "--order-by", "-o", help="Columns of the result to order by; `-revenue` is descending.")
@click.option("--limit", type=int, help="At most this many rows.")
@click.option("--totals", is_flag=True, help="Add a row over all groups, marked in the column is_total.")
@click.option("--min-max-only", is_flag=True, help="Only the least and greatest value of one item, without metrics.")
@click.option("--saved-query", metavar="NAME", help="A saved query, instead of --metrics and --group-by.")
@click.option("--timeout", metavar="TIME", help="Stop the query after this time, such as 30s or 5m.")
@click.option("--explain", "--compile", "explain", is_flag=True, help="Print the SQL without running it.")
@click.option("--dialect", metavar="NAME", help="Print the SQL for another engine, such as snowflake or bigquery.")
@click.option("--check-keys", is_flag=True, help="First check that each key by which the query joins is unique.")
@click.option("--all", "all_rows", is_flag=True, help="Show all rows on a terminal, not only the first 1,000.")
@output_options
@accepts("--show-dataflow-plan", "--display-plans", "--show-sql-descriptions")
@takes_project
def command(
    project: "Project",
    *,
    metrics: tuple[str, ...],
    group_by: tuple[str, ...],
    where: tuple[str, ...],
    trusted_where: tuple[str, ...],
    having: tuple[str, ...],
    start_time: str | None,
    end_time: str | None,
    order: tuple[str, ...],
    limit: int | None,
    totals: bool,
    min_max_only: bool,
    saved_query: str | None,
    explain: bool,
    dialect: str | None,
    check_keys: bool,
    timeout: str | None,
    all_rows: bool,
    format: str,
    csv: str | None,
    csv_safe: bool,
    decimals: int | None,
) -> None:
    """Query metrics by dimensions.

    \b
    gemel query --metrics revenue --group-by metric_time__month
    gemel query --metrics revenue,orders --where "{{ Dimension('order__region') }} = 'north'" --order -revenue
    """
    answer = project.query(
        metrics,
        group_by,
        where,
        start_time=start_time,
        end_time=end_time,
        order_by=order,
        limit=limit,
        totals=totals,
        min_max_only=min_max_only,
        saved_query=saved_query,
        having=having,
        trusted_where=trusted_where,
        dialect=dialect,
        check_keys=check_keys,
        timeout=timeout,
    )
    if explain or dialect:
        click.echo(answer.sql)
        return
    write_answer(
        answer, format=format, csv=csv, csv_safe=csv_safe, decimals=decimals, all_rows=all_rows, say=project.session.say
    )
    for warning in answer.warnings:
        say(str(warning))
