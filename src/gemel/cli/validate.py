"""gemel validate"""

from typing import TYPE_CHECKING

import click

from gemel.cli.options import say, takes_project

if TYPE_CHECKING:
    from gemel.project import Project


@click.command()
@click.option("--skip-dw", is_flag=True, help="Only the definitions; do not ask the database.")
@takes_project
def command(project: "Project", *, skip_dw: bool) -> None:
    """Check every definition, and its SQL in the database. All problems are told at once."""
    problems = project.validate(skip_dw=skip_dw)
    for problem in problems:
        say(str(problem))
    checked = f"{len(project.metrics())} metrics, {len(project.saved_queries())} saved queries"
    if not any(problem.code.startswith("G5") for problem in problems):
        for warning in project.features.warnings:
            say(f"warning: {warning}")
        checked += f", {len(project.features.views)} feature views"
    if problems:
        say(f"{len(problems)} problem{'s' if len(problems) > 1 else ''} in {checked}")
        raise click.exceptions.Exit(1)
    say(f"{checked}: no problem" + (" (the database was not asked)" if skip_dw else ""))
