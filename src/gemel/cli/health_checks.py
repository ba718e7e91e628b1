"""gemel health-checks, as MetricFlow's command of that name"""

from typing import TYPE_CHECKING

import click

from gemel.cli.options import takes_session

if TYPE_CHECKING:
    from gemel.session import Session


@click.command()
@takes_session
def command(session: "Session") -> None:
    """Check that the database of the profile can be queried.

    Exits 1 with the reason if it cannot.
    """
    session.runner.check_connection()
    click.echo(f"{session.engine.name}: the database can be queried")
