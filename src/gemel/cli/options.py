"""Options that several commands take, and how their values are read."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from gemel.cli import debug_option

if TYPE_CHECKING:
    from gemel.project import Project


def takes_project(function: Callable[..., Any]) -> Callable[..., Any]:
    """A command whose first argument is the Project that --project-dir and its like name."""

    def open_project(**given: Any) -> "Project":
        from gemel.project import load

        return load(**given)

    return _opening(open_project, function)


def takes_session(function: Callable[..., Any]) -> Callable[..., Any]:
    """A command whose first argument is the Session of that project."""

    @functools.wraps(function)
    def run(project: "Project", **others: Any) -> Any:
        return function(project.session, **others)

    return takes_project(run)


def takes_project_to_validate(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `takes_project`, also where some definitions cannot be read."""

    def open_project(**given: Any) -> "Project":
        from gemel.project import Project
        from gemel.session import open_session

        return Project(open_session(**given))

    return _opening(open_project, function)


def _opening(open_project: Callable[..., "Project"], function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def run(
        *,
        project_dir: str | None,
        profiles_dir: str | None,
        target: str | None,
        manifest: str | None,
        database: str | None,
        quiet: bool,
        **others: Any,
    ) -> Any:
        project = open_project(
            path=project_dir or ".",
            database=database,
            manifest=manifest,
            target=target,
            profiles_dir=profiles_dir,
            say=(lambda line: None) if quiet else say,
        )
        with project:
            return function(project, **others)

    for option in reversed(_PROJECT):
        option(run)
    return run


def say(line: str) -> None:
    """A line for the person who waits: on stderr, as stdout is for data."""
    click.echo(line, err=True)


def items_option(*names: str, help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An option that takes items with commas between, and can be repeated."""

    def read(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
        items = tuple(item for value in values for item in split_items(value))
        if len(items) < len(values):  # an empty shell variable, say: asking without it would be another question
            raise click.BadParameter("nothing is named")
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
        help="A directory in the dbt project. Default: this one, or the nearest above it.",
    ),
    click.option("--profiles-dir", type=click.Path(), help="Where profiles.yml is. Default: as dbt finds it."),
    click.option("--target", help="The profile's target. Default: the profile's own."),
    click.option(
        "--manifest",
        type=click.Path(exists=True, dir_okay=False),
        help="A semantic_manifest.json to read as it is; needs no dbt project.",
    ),
    click.option("--database", type=click.Path(dir_okay=False), help="A DuckDB file to ask instead of the profile's."),
    click.option("--quiet", "-q", is_flag=True, help="Only data and errors."),
    debug_option,
)
