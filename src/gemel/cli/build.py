"""gemel build"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import click

from gemel.cli.features import open_workspace
from gemel.cli.options import say, takes_project
from gemel.cli.runs import tells_openlineage
from gemel.cli.verify import verdict, write_report
from gemel.errors import GemelError

if TYPE_CHECKING:
    from gemel.features.workspace import Workspace
    from gemel.files import Change
    from gemel.project import Project


@click.command()
@click.option("--moments", type=click.IntRange(1), default=5, show_default=True, help="At how many moments to verify.")
@takes_project
@tells_openlineage("build")
def command(project: "Project", *, moments: int) -> None:
    """The whole way: parse, generate, dbt build, feast apply, materialize, verify.

    Stops at the first step that fails. Every step can be run again, and so can the whole, also after it was killed.
    """
    from gemel.cli.output import counted
    from gemel.online import feast

    workspace = open_workspace(project)
    for warning in workspace.bound.warnings:
        say(str(warning))
    with _step("generate") as told:
        told.append(_files(_write(project, workspace)))
    with _step("dbt build"):
        dbt_build(project, "build")
    with _step("check types") as told:
        changed = workspace.write()
        if any(change.path.endswith(".sql") for change in changed):  # the types were those of an older build
            say(f"  {_files(changed)}: building them again")
            dbt_build(project, "build", "--select", f"path:{_folder(workspace)}")
        if workspace.views():
            workspace.check_built()
        count = len(workspace.views())
        told.append(f"{counted(count, 'feature table')} {'is' if count == 1 else 'are'} as Feast is told")
    if not workspace.views():
        say("there is no feature view, so nothing for Feast to do")
        return
    with _step("feast apply") as told:
        told.append("; ".join(feast.apply(workspace.repo)) or "nothing new")
    with _step("materialize") as told:
        until = workspace.materialize(say=say)
        told.append(f"online up to {until:%Y-%m-%d %H:%M} UTC")
    with _step("verify") as told:
        report = workspace.verify(moments=moments)
        told.append(verdict(report))
    if report.failed():
        write_report(report, format="table")
        raise click.exceptions.Exit(1)


def _write(project: "Project", workspace: "Workspace") -> "list[Change]":
    """Generate; where nothing tells a type yet, build what the features read, and ask that."""
    from gemel.errors import Problems
    from gemel.features.columns import unknown_only
    from gemel.files import tests_folder

    try:
        return write_files(project, workspace)
    except Problems as problems:
        if not unknown_only(problems):
            raise
    say("  some types are not known yet: building the models that the features read")
    # Metric tests may have been generated for another warehouse.
    tests = [f"path:{folder}"] if (folder := tests_folder(workspace.root)) else []
    dbt_build(project, "build", "--exclude", f"path:{_folder(workspace)}", *tests)
    return write_files(project, workspace)


def write_files(project: "Project", workspace: "Workspace") -> "list[Change]":
    """Write the generated files; where dbt has to tell first where it will build a table, it is asked."""
    changes = workspace.write()
    if not workspace.is_placed():
        dbt_build(project, "parse")
        changes += workspace.write()
    return changes


def dbt_build(project: "Project", *arguments: str) -> None:
    """Run dbt on the project, with its target, while we hold no file of it."""
    from gemel.dbt.running import run_dbt_into

    assert project.dir is not None and project.artifacts is not None
    # dbt writes to the file that we have been reading; DuckDB lets only one of us in.
    with suppress(GemelError):
        project.warehouse.close()
    # Where the next command looks for them, and for the same target.
    run_dbt_into(project.artifacts, arguments, project.dir, target=project.target, profiles_dir=project.profiles_dir)


def _folder(workspace: "Workspace") -> str:
    from gemel.files import models_folder

    return str(models_folder(workspace.root, "features"))


def _files(changes: "list[Change]") -> str:
    from gemel.cli.output import counted

    return f"{counted(len(changes), 'file')} written" if changes else "every file is up to date"


@contextmanager
def _step(name: str) -> Iterator[list[str]]:
    """A line when a step begins, and one with its time when it is done."""
    from gemel.cli.output import waiting

    say(f"{name} ...")
    started = time.monotonic()
    told: list[str] = []
    with waiting(name):
        yield told
    said = f"  {told[0]}" if told else ""
    say(f"{name}: {time.monotonic() - started:.1f} s{said}")
