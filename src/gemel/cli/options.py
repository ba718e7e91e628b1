"""Options that several commands share, and how their values are read."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gemel.cli import debug_option

if TYPE_CHECKING:
    from gemel.project import Project


def takes_project(function: Callable[..., Any]) -> Callable[..., Any]:
    """A command whose first argument is the Project, opened from --project-dir and related options."""

    def open_project(**options: Any) -> "Project":
        from gemel.project import load

        return load(**options)

    return _opening(open_project, function)


def takes_session(function: Callable[..., Any]) -> Callable[..., Any]:
    """A command whose first argument is the Session of that project."""

    @functools.wraps(function)
    def run(project: "Project", **others: Any) -> Any:
        return function(project.session, **others)

    return takes_project(run)


def takes_session_to_generate(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `takes_session`, even if dbt cannot parse the files that were generated before."""

    def open_project(**options: Any) -> "Project":
        from gemel.mending import open_despite_generated
        from gemel.project import load

        return open_despite_generated(lambda: load(**options), Path(options["path"]), options["say"])

    @functools.wraps(function)
    def run(project: "Project", **others: Any) -> Any:
        return function(project.session, **others)

    return _opening(open_project, run)


def takes_project_to_validate(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `takes_project`, but some definitions may be unreadable."""

    def open_project(**options: Any) -> "Project":
        from gemel.project import Project
        from gemel.session import open_session

        return Project(open_session(**options))

    return _opening(open_project, function)


def _opening(open_project: Callable[..., "Project"], function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def run(
        *,
        project_dir: str | None,
        profiles_dir: str | None,
        target: str | None,
        vars: str | None,
        manifest: str | None,
        artifacts: str | None,
        database: str | None,
        wait: str | None,
        quiet: bool,
        **others: Any,
    ) -> Any:
        project = open_project(
            path=project_dir or ".",
            database=database,
            manifest=manifest,
            artifacts=artifacts,
            target=target,
            profiles_dir=profiles_dir,
            vars=vars,
            wait=_read_wait(wait),
            say=(lambda line: None) if quiet else say,
        )
        with project:
            return function(project, **others)

    for option in reversed(_PROJECT):
        option(run)
    return run


def _read_wait(wait: str | None) -> float | None:
    from gemel.spec.limits import parse_seconds

    try:
        return None if wait is None else 0 if wait in ("0", "0s") else parse_seconds(wait)
    except ValueError as error:
        raise click.BadParameter(f"{error}", param_hint="--wait") from None


def say(line: str) -> None:
    """Print a line for the user on stderr; stdout is for data."""
    click.echo(line, err=True)


def items_option(*names: str, help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An option that takes items separated by commas, and can be repeated."""

    def read(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
        items = tuple(item for value in values for item in split_items(value))
        if len(items) < len(values):  # an empty shell variable, say: ignoring it would run another query
            raise click.BadParameter("the list is empty")
        return items

    return click.option(*names, multiple=True, callback=read, metavar="ITEMS", help=help)


def split_items(text: str) -> list[str]:
    """`"a, TimeDimension('t', 'month')"` -> `["a", "TimeDimension('t', 'month')"]`.

    Commas inside brackets and quotes do not split.
    """
    items = [""]
    depth, quote = 0, ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char == "," and depth <= 0:
            items.append("")
            continue
        items[-1] += char
    return [item.strip() for item in items if item.strip()]


_PROJECT = (
    click.option(
        "--project-dir",
        type=click.Path(exists=True),
        envvar=["DBT_ENGINE_PROJECT_DIR", "DBT_PROJECT_DIR"],
        help="A directory in the dbt project. Default: DBT_PROJECT_DIR, else the current directory.",
    ),
    click.option("--profiles-dir", type=click.Path(), help="The folder of profiles.yml. Default: dbt's default."),
    click.option("--target", help="The target in the profile. Default: the profile's default."),
    click.option(
        "--vars",
        metavar="YAML",
        help="dbt's variables, an object in YAML or JSON. Default: those of dbt's last run in target/.",
    ),
    click.option(
        "--artifacts",
        type=click.Path(exists=True, file_okay=False),
        help="A folder with dbt's manifest.json and semantic_manifest.json, to read as they are, without dbt.",
    ),
    click.option(
        "--manifest",
        type=click.Path(exists=True, dir_okay=False),
        help="A semantic_manifest.json to read as it is, without a dbt project.",
    ),
    click.option(
        "--database", type=click.Path(dir_okay=False), help="A DuckDB file to query instead of the profile's."
    ),
    click.option(
        "--wait", metavar="TIME", help="How long to wait for a database that is being written to. Default: 10 minutes."
    ),
    click.option("--quiet", "-q", is_flag=True, help="Print only data and errors."),
    debug_option,
)
