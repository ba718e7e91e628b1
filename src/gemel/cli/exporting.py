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
@click.option("--out", type=click.Path(dir_okay=False), help="A file to write. Default: print it.")
@click.option("--skip", is_flag=True, help="Leave out what the format cannot say, and tell of it on stderr.")
@click.option("--uri", help="For superset: the SQLAlchemy URI of the warehouse. Default: as the profile says.")
@takes_session
def command(
    session: "Session", *, format: str, metrics: tuple[str, ...], out: str | None, skip: bool, uri: str | None
) -> None:
    """Write the definitions in another tool's format.

    A metric that the format would give another number for is refused: nothing is written then, and each is told with
    the reason.

    \b
    gemel export osi --skip --out osi.yaml
    gemel export lookml --metrics revenue,orders
    """
    from gemel.bi.exports.export import export, export_what_can_be
    from gemel.spec.fields import counted

    find = export_what_can_be if skip else export
    found = find(session, format, metrics, uri=uri)
    for each in found.refused:
        say(f"left out {each}")
    for note in found.notes:
        say(note)
    write(found.content, out)
    if out:
        say(f"{counted(found.count, 'metric')} in {out}")


def write(content: str | bytes, out: str | None) -> None:
    if out:
        Path(out).write_bytes(content.encode() if isinstance(content, str) else content)
    elif isinstance(content, str):
        click.echo(content, nl=False)
    elif sys.stdout.isatty():
        raise click.UsageError("this format is a ZIP file: name it with --out")
    else:
        sys.stdout.buffer.write(content)
