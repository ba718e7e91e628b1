"""gemel export"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gemel.bi.exports.formats import FORMATS
from gemel.cli.options import items_option, say, takes_session

if TYPE_CHECKING:
    from gemel.session import Session


@click.command()
@click.argument("format", type=click.Choice([*FORMATS]), metavar=f"[{'|'.join(FORMATS)}]")
@items_option("--metrics", "-m", help="Only these metrics. Default: all.")
@click.option("--out", type=click.Path(dir_okay=False), help="The file to write. Default: stdout.")
@click.option("--skip", is_flag=True, help="Omit what the format cannot express, and list it on stderr.")
@click.option("--uri", help="For superset: the SQLAlchemy URI of the warehouse. Default: from the profile.")
@takes_session
def command(
    session: "Session", *, format: str, metrics: tuple[str, ...], out: str | None, skip: bool, uri: str | None
) -> None:
    """Write the definitions in another tool's format.

    If the format would return another number for a metric, nothing is written: each such metric is listed with the
    reason.

    \b
    gemel export osi --skip --out osi.yaml
    gemel export lookml --metrics revenue,orders
    """
    from gemel.bi.exports.export import export, export_what_can_be
    from gemel.spec.fields import format_count

    run = export_what_can_be if skip else export
    exported = run(session, format, metrics, uri=uri)
    for each in exported.refused:
        say(f"left out {each}")
    for note in exported.notes:
        say(note)
    write(exported.content, out)
    if out:
        say(f"{format_count(exported.count, 'metric')} in {out}")


def write(content: str | bytes, out: str | None) -> None:
    if out:
        Path(out).write_bytes(content.encode() if isinstance(content, str) else content)
    elif isinstance(content, str):
        click.echo(content, nl=False)
    elif sys.stdout.isatty():
        raise click.UsageError("this format is a ZIP file: name it with --out")
    else:
        sys.stdout.buffer.write(content)
