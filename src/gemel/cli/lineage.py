"""gemel lineage"""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from gemel.cli.options import takes_session
from gemel.cli.runs import namespaces

if TYPE_CHECKING:
    from gemel.session import Session


FORMATS = ("text", "json", "mermaid", "openlineage")


@click.command()
@click.argument("name")
@click.option("--up", "side", flag_value="up", help="Show only what it comes from.")
@click.option("--down", "side", flag_value="down", help="Show only where it goes.")
@click.option(
    "--impact", "side", flag_value="impact", help="Show everything that changes with it, by kind, with owners."
)
@click.option("--format", type=click.Choice(FORMATS), default="text", show_default=True, help="The output format.")
@takes_session
def command(session: "Session", *, name: str, side: str | None, format: str) -> None:
    """Show where NAME comes from, back to source columns, and where it goes.

    NAME is a metric, measure, dimension, entity, saved query, feature, feature view, feature service, exposure, model
    or source, or a column: model.column or source.table.column. If several things have the name, add the kind:
    metric:flights.
    """
    from gemel.graph.lineage import read_lineage

    lineage = read_lineage(session, name)
    sides = (side,) if side else ("up", "down")
    lines: Iterable[str]
    match format:
        case "json":
            lines = [json.dumps(lineage.as_json(*sides), indent=2, ensure_ascii=False)]
        case "mermaid":
            lines = lineage.as_mermaid(*sides)
        case "openlineage":
            from gemel.graph.openlineage import line

            lines = map(line, lineage.as_openlineage(*sides, namespaces=namespaces(session)))
        case _:
            lines = lineage.lines(*sides)
    for text in lines:
        click.echo(text)
