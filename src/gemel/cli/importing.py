"""gemel import"""

from pathlib import Path

import click

from gemel.cli import debug_option
from gemel.cli.exporting import write
from gemel.cli.options import say


@click.group()
def command() -> None:
    """Write another tool's definitions as dbt YAML."""


@command.command("osi")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--out", type=click.Path(dir_okay=False), help="The file to write. Default: stdout.")
@click.option("--skip", is_flag=True, help="Omit what dbt cannot express, and list it on stderr.")
@debug_option
def osi(file: str, out: str | None, skip: bool) -> None:
    """Write the semantic models and metrics of an Open Semantic Interchange file as dbt YAML.

    A file that gemel wrote is restored exactly. For another tool's file, everything that dbt cannot express is an
    error with its reason, and everything that had to be added is listed.

    \b
    gemel import osi shop.yaml --out semantic/shop.yml
    """
    from gemel.bi.imports.osi import load_osi

    imported = load_osi(Path(file))
    if not skip:
        imported.refuse()
    for name, reason in imported.refused:
        say(f"left out {name}: {reason}")
    for note in imported.notes:
        say(f"added {note}")
    write(imported.text, out)
