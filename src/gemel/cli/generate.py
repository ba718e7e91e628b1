"""gemel generate"""

from typing import TYPE_CHECKING

import click

from gemel.cli.options import say, takes_session_to_generate
from gemel.cli.runs import tells_openlineage

if TYPE_CHECKING:
    from gemel.session import Session


@click.command()
@click.option(
    "--check", is_flag=True, help="Write nothing; list the files that would change, and exit 1 if there are any."
)
@takes_session_to_generate
@tells_openlineage("generate")
def command(session: "Session", *, check: bool) -> None:
    """Write dbt models of saved queries, wide views and feature tables, metric tests, the Feast repo and exposures.

    Commit the generated files: they show a reviewer what a change to a metric does.
    """
    from gemel.bi.project_models import count_models
    from gemel.expectations.suite import metric_tests
    from gemel.features.opened import open_features
    from gemel.pipeline import generate, stale_files, unrunnable_tests
    from gemel.spec.fields import format_count

    for warning in (*open_features(session).bound.warnings, *unrunnable_tests(session)):
        say(str(warning))
    changes = stale_files(session) if check else generate(session)
    for change in changes:
        click.echo(str(change))
    content = format_count(len(open_features(session).views), "feature view")
    if models := count_models(session):
        content += f", {format_count(models, 'BI model')}"
    if tests := len(session.once(metric_tests)):
        content += f", {format_count(tests, 'metric test')}"
    if check and changes:
        are = "is" if len(changes) == 1 else "are"
        say(f"{format_count(len(changes), 'generated file')} {are} not up to date: run `gemel generate` and commit")
        raise click.exceptions.Exit(1)
    done = f"{format_count(len(changes), 'file')} changed" if changes else "every generated file is up to date"
    say(f"{content}: {done}")
