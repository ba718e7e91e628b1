"""gemel tutorial, for users of MetricFlow"""

import click


@click.command()
@click.option("--message", "-m", is_flag=True, hidden=True)
@click.option("--clean", is_flag=True, hidden=True)
@click.option("--yes", is_flag=True, hidden=True)
def command(message: bool, clean: bool, yes: bool) -> None:
    """Say where to begin."""
    click.echo("gemel's README is its tutorial: the worked example, step by step. Your project stays as it is.")
