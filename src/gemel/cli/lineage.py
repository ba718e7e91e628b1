"""gemel lineage"""

import datetime as dt
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from gemel.cli.options import takes_session
from gemel.cli.runs import namespaces

if TYPE_CHECKING:
    from gemel.graph.graph import Lineage, Node, Part
    from gemel.session import Session


FORMATS = ("text", "json", "mermaid", "openlineage")


@click.command()
@click.argument("name")
@click.option("--up", "side", flag_value="up", help="Only what it comes from.")
@click.option("--down", "side", flag_value="down", help="Only what it goes to.")
@click.option("--impact", "side", flag_value="impact", help="All that changes if it changes, by kind, with owners.")
@click.option("--format", type=click.Choice(FORMATS), default="text", show_default=True, help="What to write.")
@takes_session
def command(session: "Session", *, name: str, side: str | None, format: str) -> None:
    """Where NAME comes from, down to source columns, and where it goes.

    NAME is a metric, measure, dimension, entity, saved query, feature, feature view, feature service, exposure, model
    or source, or a column, as model.column or source.table.column. Where several have the name, write its kind too:
    metric:flights.
    """
    from gemel.graph import json, tree
    from gemel.graph.building import read_lineage

    with session.placing():
        lineage = session.once(read_lineage)
        nodes = lineage.find(name)
        lines: Iterable[str]
        match side, format:
            case "impact", "text":
                lines = tree.tell_impact(lineage.impact(*nodes))
            case "impact", "json":
                lines = _json(json.write_impact(lineage.impact(*nodes)))
            case _, "text":
                lines = tree.tell(lineage, nodes, sides=(side,) if side else ("up", "down"))
            case _:
                lines = _written(session, nodes, _parts(lineage, nodes, side), format=format)
        for line in lines:
            click.echo(line)


def _parts(lineage: "Lineage", nodes: "tuple[Node, ...]", side: str | None) -> "list[Part]":
    parts = [lineage.upstream(*nodes)] if side in (None, "up") else []
    return parts + ([lineage.downstream(*nodes)] if side != "up" else [])


def _written(session: "Session", nodes: "tuple[Node, ...]", parts: "list[Part]", *, format: str) -> Iterable[str]:
    from gemel.graph import json, mermaid, openlineage
    from gemel.graph.building import read_lineage

    match format:
        case "json":
            return _json(json.write_parts(nodes, *parts))
        case "mermaid":
            return mermaid.draw(*parts)
        case _:
            every = dict.fromkeys(node for part in parts for node in part.nodes)
            now = dt.datetime.now(dt.UTC)
            events = openlineage.write_jobs(session.once(read_lineage), every, namespaces(session), now=now)
            return (openlineage.line(event) for event in events)


def _json(value: object) -> list[str]:
    return [json.dumps(value, indent=2, ensure_ascii=False)]
