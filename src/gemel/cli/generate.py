"""gemel generate"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from gemel.cli.build import dbt_build, write_files
from gemel.cli.features import open_workspace
from gemel.cli.options import say, takes_project
from gemel.cli.runs import tells_openlineage

if TYPE_CHECKING:
    from gemel.errors import GemelError
    from gemel.features.workspace import Workspace
    from gemel.project import Project


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit 1 and name the files that would change.")
@takes_project
@tells_openlineage("generate")
def command(project: "Project", *, check: bool) -> None:
    """Write dbt models of saved queries, wide views and feature tables, metric tests, the Feast repo and exposures.

    Generated files are committed: they are how a reviewer sees what a change to a metric does.
    """
    from gemel.cli.output import counted

    with uncollected():
        workspace = open_workspace(project)
        for warning in (*workspace.bound.warnings, *homeless(project, workspace)):
            say(str(warning))
        if check and not workspace.is_placed():
            dbt_build(project, "parse")
        changes = workspace.stale() if check else write_files(project, workspace)
    for change in changes:
        click.echo(str(change))
    made = counted(len(workspace.views()), "feature view")
    if models := project.bi_models():
        made += f", {counted(models, 'BI model')}"
    if tests := len(project.metric_tests):
        made += f", {counted(tests, 'metric test')}"
    if check and changes:
        are = "is not as it" if len(changes) == 1 else "are not as they"
        say(f"{counted(len(changes), 'generated file')} {are} should be: run `gemel generate` and commit")
        raise click.exceptions.Exit(1)
    done = f"{counted(len(changes), 'file')} changed" if changes else "every generated file is up to date"
    say(f"{made}: {done}")


@contextmanager
def uncollected() -> Iterator[None]:
    """Work that makes trees, whose parents and children hold each other: looking for garbage takes a sixth of it."""
    gc.disable()
    try:
        yield
    finally:
        # Moves what there is among what is old, or all of it would be looked through at once.
        gc.freeze()
        gc.unfreeze()
        gc.enable()


def homeless(project: "Project", workspace: "Workspace") -> "list[GemelError]":
    """That dbt cannot run the metric tests, where its project has no folder for tests."""
    from gemel.errors import Place, ProjectError
    from gemel.files import tests_folder

    if not project.metric_tests or tests_folder(workspace.root) is not None:
        return []
    told = "dbt_project.yml names no test-paths, so dbt cannot run the metric tests; `gemel test` can"
    hint = "name a folder there, such as `test-paths: [tests]`"
    return [ProjectError("G775", told, hint=hint, place=Place("dbt_project.yml"), severity="warning")]
