"""gemel docs"""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gemel.cli.options import say, takes_project

if TYPE_CHECKING:
    from gemel.project import Project

MOST_REASONS = 5
"""How many reasons for missing numbers are printed. Each metric's page has its own."""


@click.command()
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder to write. Default: gemel/docs in dbt's target folder.",
)
@click.option("--no-data", is_flag=True, help="Do not query the database: no charts, no newest rows.")
@takes_project
def command(project: "Project", *, output: Path | None, no_data: bool) -> None:
    """Write the catalogue: a static site with every metric, dimension, feature and table, and their lineage.

    Open index.html in a browser, from the disk or from any web server. The site loads nothing from the network.
    """
    from gemel.catalogue.content import Numbers
    from gemel.catalogue.freshness import newest
    from gemel.catalogue.pages import gather
    from gemel.catalogue.series import Series, Unknown, series
    from gemel.catalogue.site import write
    from gemel.cli.progress import waiting
    from gemel.spec.fields import format_count

    numbers = Numbers({}, {})
    if not no_data:
        with waiting("querying the last year of every metric"):
            numbers = Numbers(series(project), newest(project.session))
    content = gather(project, numbers)
    page = write(content, output or (project.session.artifacts or Path()) / "gemel" / "docs")
    drawn = sum(isinstance(each, Series) for each in numbers.series.values())
    say(f"{format_count(len(content.nodes), 'page')}, {format_count(drawn, 'metric')} with numbers")
    reasons = Counter(each.reason for each in numbers.series.values() if isinstance(each, Unknown))
    for reason, count in reasons.most_common(MOST_REASONS):
        say(f"{format_count(count, 'metric')} without: {reason}")
    click.echo(page)
