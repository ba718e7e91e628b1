"""The command line. A command is a few lines over Project, in a module that is imported when the command is called.

Each module in COMMANDS has a click command or group named `command`. Exit codes: 0 for success, 1 for an error or a
failed check, 2 for invalid usage, 130 for Ctrl-C.
"""

import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

import click

from gemel.errors import GemelError, did_you_mean, reason_of

COMMANDS = {
    "query": ("query", "Query metrics by dimensions."),
    # Not `list`: importing a module of that name would hide the builtin in this one.
    "list": ("listing", "List metrics, dimensions, values, saved queries, feature views …"),
    "functions": ("functions", "List the functions that filters may call."),
    "validate": ("validate", "Check every definition, and its SQL in the database."),
    "validate-configs": ("validate", "The same as validate, by MetricFlow's name."),
    "health-checks": ("health_checks", "Check that the database can be queried."),
    "tutorial": ("tutorial", "Say where to begin."),
    "test": ("test", "Run the tests of metrics."),
    "generate": ("generate", "Write dbt models of BI views and features, metric tests, the Feast repo and exposures."),
    "build": ("build", "Run all steps: parse, generate, build, apply, materialize, verify."),
    "features": ("features", "Apply, materialize and read features."),
    "training-set": ("training_set", "Add to each row of a spine its features as of its moment."),
    "verify": ("verify", "Prove that BI number = offline feature = online feature."),
    "export": ("exporting", "Write the definitions in another tool's format: OSI, Superset, LookML, Cube …"),
    "import": ("importing", "Write another tool's definitions as dbt YAML."),
    "diff": ("diff", "Compare two states of the project: definitions, what they affect, numbers."),
    "lineage": ("lineage", "Show where a number comes from, and where it goes."),
    "docs": ("docs", "Write the catalogue, a site to read in a browser."),
    "schema": ("schema", "Print the JSON Schema of feature_views/*.yml."),
}
"""Every command: its module and its description. A command whose module does not exist is not offered."""

OUR_FAULT = "this is a bug in gemel: please report it, with the output of --debug"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `gemel` with these arguments (by default those of the process). Returns the exit code.

    Every error becomes text on stderr here, with a traceback only with --debug.
    """
    settings = {"debug": bool(os.environ.get("GEMEL_DEBUG"))}
    # Importing creates many objects and no garbage; collecting would take a twentieth of the start-up time.
    gc.set_threshold(100_000, 20, 20)
    try:
        code = command.main(
            list(arguments) if arguments is not None else None,
            prog_name="gemel",
            standalone_mode=False,
            obj=settings,
        )
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("stopped", err=True)
        return 130
    except BrokenPipeError:
        # The reader (head, less) has closed the pipe. Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except GemelError as error:
        _traceback(settings)
        click.echo(str(error), err=True)
        return 1
    except OSError as error:
        _traceback(settings)
        message = f"cannot write or read {error.filename or 'the output'}: {reason_of(error)}"
        click.echo(f"G606 {message}\n  hint: the file must be readable and its folder writable", err=True)
        # What Python has buffered for a full disk cannot be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        _traceback(settings)
        message = " ".join(str(error).split())[:300]
        click.echo(f"{type(error).__name__}: {message}\n  {OUR_FAULT}", err=True)
        return 1


class _Commands(click.Group):
    """The commands in COMMANDS, each imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, (module, _) in COMMANDS.items() if find_spec(f"gemel.cli.{module}")]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command = import_module(f"gemel.cli.{COMMANDS[cmd_name][0]}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            hint = did_you_mean(args[0], self.list_commands(ctx))
            ctx.fail(f"No such command {args[0]!r}." + (f" {hint.capitalize()}" if hint else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


def _version(ctx: click.Context, _: click.Parameter, requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        click.echo(f"gemel {version('gemel')}")
        ctx.exit()


def _debug(ctx: click.Context, _: click.Parameter, requested: bool) -> None:
    if requested and isinstance(ctx.find_root().obj, dict):
        ctx.find_root().obj["debug"] = True


debug_option = click.option(
    "--debug", is_flag=True, expose_value=False, callback=_debug, help="Show the traceback of an error."
)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 success, 1 error or failed check, 2 invalid usage, 130 stopped by Ctrl-C.",
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
@click.option("--verbose", "-v", is_flag=True, expose_value=False, hidden=True)  # MetricFlow's
@debug_option
def command() -> None:
    """One definition for the metrics a business reads and the features its models learn from, on top of dbt."""


def _traceback(settings: dict[str, bool]) -> None:
    if settings["debug"]:
        import traceback

        traceback.print_exc()
