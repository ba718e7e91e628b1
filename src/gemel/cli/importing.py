"""gemel import"""

from pathlib import Path

import click

from gemel.cli import debug_option
from gemel.cli.exporting import write
from gemel.cli.options import say


@click.group()
def command() -> None:
    """Another format's definitions as dbt's YAML."""


@command.command("osi")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--out", type=click.Path(dir_okay=False), help="A file to write. Default: print it.")
@click.option("--skip", is_flag=True, help="Leave out what dbt cannot say, and tell of it on stderr.")
@debug_option
def osi(file: str, out: str | None, skip: bool) -> None:
    """Write the semantic models and metrics of an Open Semantic Interchange file as dbt's YAML.

    A file that gemel wrote comes back as it was. Of another tool's, what dbt cannot mean is refused, each with its
    reason; what had to be added is told.

    \b
    gemel import osi shop.yaml --out semantic/shop.yml
    """
    from gemel.bi.imports.osi import load_osi

    found = load_osi(Path(file))
    if not skip:
        found.refuse()
    for name, why in found.refused:
        say(f"left out {name}: {why}")
    for note in found.notes:
        say(f"added {note}")
    write(found.text, out)
