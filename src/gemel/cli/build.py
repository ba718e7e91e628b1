"""gemel build"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from gemel.cli.options import say, takes_session_to_generate
from gemel.cli.runs import tells_openlineage
from gemel.cli.verify import write_report

if TYPE_CHECKING:
    from gemel.session import Session


@click.command()
@click.option("--moments", type=click.IntRange(1), default=5, show_default=True, help="How many moments to verify.")
@takes_session_to_generate
@tells_openlineage("build")
def command(session: "Session", *, moments: int) -> None:
    """Run all steps: parse, generate, dbt build, feast apply, materialize, verify.

    Stops at the first step that fails. Each step can be repeated, and so can the whole build, even after it was killed.
    """
    from gemel.features.opened import open_features
    from gemel.pipeline import build

    for warning in open_features(session).bound.warnings:
        say(str(warning))
    report = build(session, moments=moments, say=say, step=_step)
    if report is not None and report.failed():
        write_report(report, format="table")
        raise click.exceptions.Exit(1)


@contextmanager
def _step(name: str) -> Iterator[list[str]]:
    """Print a line when a step begins, and one with its duration when it ends."""
    from gemel.cli.progress import waiting

    say(f"{name} ...")
    started = time.monotonic()
    done: list[str] = []
    with waiting(name):
        yield done
    say(f"{name}: {time.monotonic() - started:.1f} s{f'  {done[0]}' if done else ''}")
