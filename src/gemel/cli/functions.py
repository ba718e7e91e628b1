"""gemel functions"""

from pathlib import Path
from typing import Any

import click

from gemel.cli import debug_option
from gemel.cli.output import output_options, write_rows


@click.command()
@click.option("--search", metavar="TEXT", help="Only those that contain this text.")
@click.option(
    "--project-dir",
    type=click.Path(exists=True),
    envvar="DBT_PROJECT_DIR",
    default=".",
    help="A dbt project, whose own functions are listed too.",
)
@output_options
@debug_option
def command(*, search: str | None, project_dir: str, **output: Any) -> None:
    """List the functions that filters may call.

    \b
    gemel functions --search month
    gemel functions --format json
    """
    from gemel.compiler.question.language.functions import FUNCTIONS, own_functions
    from gemel.dbt.project_file import find_project, read_functions

    folder = find_project(Path(project_dir))
    own = own_functions(read_functions(folder)) if folder is not None else ()
    rows = [(each.signature, ", ".join(each.names[1:]), each.group, each.meaning) for each in (*FUNCTIONS, *own)]
    shown = [row for row in rows if not search or any(search.lower() in cell.lower() for cell in row)]
    write_rows(("function", "also", "group", "meaning"), shown, **output)
