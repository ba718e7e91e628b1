"""gemel training-set"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gemel.cli.options import say, split_items, takes_project

if TYPE_CHECKING:
    from gemel.project import Project
    from gemel.training.training_set import Accuracy, Format


@click.command()
@click.argument("names", metavar="SERVICE")
@click.option("--spine", required=True, metavar="FILE|SELECT", help="The rows: Parquet, CSV or Arrow, or a SELECT.")
@click.option(
    "--accuracy",
    type=click.Choice(["served", "exact"]),
    required=True,
    help="served: as the online store would have answered. exact: windows end at each row's moment.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; a manifest is written beside it.",
)
@click.option("--format", type=click.Choice(["parquet", "arrow"]), help="Default: from the extension of --out.")
@click.option(
    "--time-column", default="event_timestamp", show_default=True, metavar="NAME", help="The spine's column of moments."
)
@takes_project
def command(
    project: "Project",
    *,
    names: str,
    spine: str,
    accuracy: "Accuracy",
    out: Path,
    format: "Format | None",
    time_column: str,
) -> None:
    """Add to each row of a spine its features as of its moment: of a service, of views or single features.

    \b
    gemel training-set departure_delay_v1 --spine labels.parquet --accuracy served --out train.parquet
    gemel training-set carrier_punctuality,plane_history.plane__seats --spine labels.csv --accuracy exact --out t.arrow
    """
    from gemel.cli.progress import waiting
    from gemel.spec.fields import format_count

    with waiting(f"joining the features of {names}"):
        training_set = project.training_set(
            split_items(names), spine, accuracy=accuracy, time_column=time_column, out=out, format=format
        )
    if not click.get_current_context().params["quiet"]:
        rows, features = training_set.manifest["rows"], len(training_set.manifest["features"])
        say(f"{format_count(rows, 'row')} with {format_count(features, 'feature')}, as {accuracy}, written to {out}")
