"""Flags of MetricFlow's `mf` and of `dbt sl` that have no effect here: each is accepted, and a note says why."""

import functools
from collections.abc import Callable
from typing import Any

import click

from gemel.cli.options import say

Command = Callable[..., Any]

NOTES = {
    "--show-dataflow-plan": "gemel has no dataflow plan: each step of the SQL is a CTE with a name, see --explain",
    "--display-plans": "gemel has no dataflow plan to draw: each step of the SQL is a CTE with a name, see --explain",
    "--show-sql-descriptions": "the SQL has no descriptions of its steps: the names of its CTEs say what they are",
    "--verbose-issues": "findings are always shown in full",
    "--semantic-validation-workers": "the definitions are checked in one process",
    "--dw-timeout": "checks have no time limit: --skip-dw leaves out the database",
    "--timeout": "checks have no time limit: --skip-dw leaves out the database",
}
_NUMBERS = ("--semantic-validation-workers", "--dw-timeout", "--timeout")


def accepts(*flags: str) -> Callable[[Command], Command]:
    """A command that accepts these flags, without showing them in its help."""

    def accept(function: Command) -> Command:
        @functools.wraps(function)
        def run(**options: Any) -> Any:
            for flag in flags:
                if options.pop(_name(flag)):
                    say(f"note: {flag} has no effect: {NOTES[flag]}")
            return function(**options)

        for flag in flags:
            kind: dict[str, Any] = {"type": str} if flag in _NUMBERS else {"is_flag": True}
            click.option(flag, _name(flag), hidden=True, **kind)(run)
        return run

    return accept


def _name(flag: str) -> str:
    return f"mf_{flag.strip('-').replace('-', '_')}"
