"""gemel features"""

import datetime as dt
from typing import TYPE_CHECKING

import click

from gemel.cli.options import say, takes_session
from gemel.cli.runs import tells_openlineage
from gemel.json_text import json_text

if TYPE_CHECKING:
    from gemel.session import Session


MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])


@click.group()
def command() -> None:
    """Apply, materialize and read features, through stock Feast."""


@command.command()
@takes_session
def apply(session: "Session") -> None:
    """Register the generated definitions with Feast, as `feast apply` does."""
    from gemel.features.opened import open_features
    from gemel.features.provenance import explain, read_served_builds
    from gemel.online import feast

    features = open_features(session)
    for line in feast.apply(features.repo):
        say(line)
    builds = read_served_builds(features, features.views)
    for view in features.views:
        message = explain(features, view, builds.get(view.name))
        if message is not None:
            say(f"{message}: it has today's definition in Feast, and the old values until `gemel build`")
    say("applied")


@command.command("materialize")
@click.option(
    "--end",
    type=MOMENT,
    metavar="MOMENT",
    help="Up to this moment (UTC). Default: now.",
)
@click.argument("views", nargs=-1, metavar="[VIEW]...")
@takes_session
@tells_openlineage("materialize")
def materialize_(session: "Session", *, end: dt.datetime | None, views: tuple[str, ...]) -> None:
    """Bring the newest row of each entity online, where Feast reads it: of these views, by default of all.

    The online store then matches the feature tables, including corrected, late and deleted rows. If the command is
    killed, run it again.
    """
    from gemel.cli.progress import waiting
    from gemel.features.opened import open_features
    from gemel.online.project import materialize

    with waiting("materialize"):
        features = open_features(session)
        until = materialize(features, end=end, views=views, say=say)
    say(f"online up to {until:%Y-%m-%d %H:%M:%S} UTC")


@command.command("backfill")
@click.option("--start", type=MOMENT, required=True, metavar="MOMENT", help="The first moment (UTC) to rebuild.")
@click.option("--end", type=MOMENT, metavar="MOMENT", help="The end of the range, exclusive (UTC). Default: none.")
@click.argument("views", nargs=-1, metavar="[VIEW]...")
@takes_session
def backfill_(session: "Session", *, start: dt.datetime, end: dt.datetime | None, views: tuple[str, ...]) -> None:
    """Rebuild the rows of a time range through dbt, of these views, by default of all; other rows stay.

    Use it for facts that arrived later than a view's `lookback`. A view without `lookback` is always rebuilt whole.
    """
    from gemel.cli.progress import waiting
    from gemel.pipeline import backfill

    if end is not None and end <= start:
        raise click.UsageError(f"--end {end} is not after --start {start}")
    with waiting("dbt build"):
        chosen = backfill(session, views, start=start, end=end)
    parts = [view.name for view in chosen if view.lookback is not None]
    whole = [view.name for view in chosen if view.lookback is None]
    if parts:
        say(f"rebuilt from {start}{f' to {end}' if end else ' on'}: {', '.join(parts)}")
    if whole:
        say(f"rebuilt whole, for lack of `lookback:`: {', '.join(whole)}")


@command.command()
@click.argument("name")
@click.argument("keys", nargs=-1, metavar="NAME=VALUE...")
@click.option(
    "--format", type=click.Choice(["table", "json"]), default="table", show_default=True, help="The output format."
)
@takes_session
def online(session: "Session", *, name: str, keys: tuple[str, ...], format: str) -> None:
    """Show the online features of an entity: of a service, a view, or one `view.feature`.

    On-demand features are computed from the inputs on the command line; an empty input is NULL.

    \b
    gemel features online carrier_punctuality carrier=UA
    gemel features online departure_delay_v1 carrier=UA origin=JFK plane=N14228
    """
    from gemel.cli.output import write_rows
    from gemel.features.opened import open_features
    from gemel.online.project import read_online

    pairs = {key: value for key, _, value in (each.partition("=") for each in keys)}
    if len(pairs) < len(keys) or not all("=" in each for each in keys):
        raise click.UsageError("give each entity and input once, as name=value")
    [row] = read_online(open_features(session), name, [pairs])
    if row is None:
        say(f"nothing is online for {' '.join(keys)}")
        raise click.exceptions.Exit(1)
    if format == "json":
        click.echo(json_text(row.values, indent=2))
    else:
        rows = [
            (key, str(value), f"{row.moments[key]:%Y-%m-%d %H:%M:%S}" if key in row.moments else "")
            for key, value in row.values.items()
        ]
        write_rows(("feature", "value", "event_timestamp"), rows, format="table")
    if row.stale:
        say(f"stale, older than the ttl of the view: {', '.join(row.stale)}")
