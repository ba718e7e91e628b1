"""gemel docs"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gemel.cli.options import say, takes_project

if TYPE_CHECKING:
    from gemel.project import Project


@click.command()
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder to write. Default: gemel/docs in dbt's target folder.",
)
@click.option("--no-data", is_flag=True, help="Ask the database nothing: no charts, no newest rows.")
@takes_project
def command(project: "Project", *, output: Path | None, no_data: bool) -> None:
    """Write the catalogue: a static site with every metric, dimension, feature and table, and their lineage.

    Open its index.html in a browser, from the disk or from any web server. It loads nothing from the network.
    """
    from gemel.catalogue.content import Numbers
    from gemel.catalogue.freshness import newest
    from gemel.catalogue.pages import gather
    from gemel.catalogue.series import series
    from gemel.catalogue.site import write
    from gemel.cli.output import counted, waiting

    numbers = Numbers({}, {})
    if not no_data:
        with waiting("asking for the last year of every metric"):
            numbers = Numbers(series(project), newest(project))
    content = gather(project, numbers)
    page = write(content, output or (project.artifacts or Path()) / "gemel" / "docs")
    say(f"{counted(len(content.nodes), 'page')}, {counted(len(numbers.series), 'metric')} with numbers")
    click.echo(page)
