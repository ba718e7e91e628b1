"""gemel schema"""

import click


@click.command()
def command() -> None:
    """Print the JSON Schema of feature_views/*.yml, for editors and other programs."""
    from gemel.spec.feature_views import SCHEMA

    click.echo(SCHEMA.read_text(encoding="utf-8"), nl=False)
