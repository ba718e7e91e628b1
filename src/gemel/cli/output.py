"""Output for people and for programs: data on stdout or in a file, all messages on stderr."""

import io
import math
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from gemel.cli.presentation import MOST, arrange, count_line, uncut_places, with_days
from gemel.cli.progress import waiting
from gemel.errors import ProjectError, reason_of
from gemel.json_text import json_text
from gemel.spec.fields import format_count
from gemel.text_tables import Rows, format_value, markdown, table
from gemel.whole_files import replace_when_complete

if TYPE_CHECKING:
    import pyarrow

    from gemel.answer import Answer

FORMATS = ("table", "csv", "json", "markdown", "arrow", "parquet")
BINARY = ("arrow", "parquet")


def output_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--format, --csv, --csv-safe and --decimals."""
    options = (
        click.option(
            "--format", type=click.Choice(FORMATS), default="table", show_default=True, help="The output format."
        ),
        click.option("--csv", type=click.Path(dir_okay=False), metavar="FILE", help="Write CSV to this file."),
        click.option(
            "--csv-safe", is_flag=True, help="In CSV, put ' before texts that a spreadsheet would run as a formula."
        ),
        click.option("--decimals", type=click.IntRange(0, 15), help="Round fractions to this many places."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def write_answer(
    answer: "Answer",
    *,
    format: str,
    csv: str | None = None,
    csv_safe: bool = False,
    decimals: int | None = None,
    all_rows: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Run the answer and write it. On a terminal, its rows are arranged and at most MOST of them shown, unless
    `all_rows`; `say` learns how many there are."""
    if format in BINARY and csv is None:
        _refuse_terminal(format)
        with waiting("the database is answering"):
            table = answer.arrow()
        _write_binary(table, format)
        return
    with waiting("the database is answering"):
        rows: Rows = answer.rows()
    if csv is None and format == "json":
        rows = with_days(answer, rows)
    if csv is None and format == "table" and sys.stdout.isatty():
        _write_arranged(answer, rows, csv_safe=csv_safe, decimals=decimals, all_rows=all_rows, say=say)
        return
    write_rows(answer.columns, rows, format=format, csv=csv, csv_safe=csv_safe, decimals=decimals)


def _write_arranged(
    answer: "Answer",
    rows: Rows,
    *,
    csv_safe: bool,
    decimals: int | None,
    all_rows: bool,
    say: Callable[[str], None],
) -> None:
    total = len(rows)
    if not answer.is_ordered:
        rows = arrange(answer.described, rows)
    shown = rows if all_rows else rows[:MOST]
    write_rows(
        answer.columns,
        shown,
        format="table",
        csv_safe=csv_safe,
        decimals=decimals,
        uncut=uncut_places(answer.described),
    )
    if total and any(column.role != "metric" for column in answer.described):
        say(count_line(len(shown), total))


def write_rows(
    columns: Sequence[str],
    rows: Rows,
    *,
    format: str,
    csv: str | None = None,
    csv_safe: bool = False,
    decimals: int | None = None,
    uncut: frozenset[int] = frozenset(),
) -> None:
    """Write rows in one of FORMATS to stdout, or as CSV to a file. `csv_safe` is for CSV only. On a terminal, the
    columns at the places `uncut` are never cut."""
    if csv_safe:
        if csv is None and format != "csv":
            raise click.UsageError("--csv-safe is for CSV: add --format csv, or --csv FILE")
        columns, *rows = [tuple(map(_without_formula, row)) for row in (columns, *rows)]
    if decimals is not None:
        rows = [tuple(_rounded(value, decimals) for value in row) for row in rows]
    if csv is not None:
        _write_file(Path(csv), columns, rows)
        return
    match format:
        case "csv":
            _write_csv(sys.stdout, columns, rows)
        case "json":
            _write_json(columns, rows)
        case "markdown":
            for line in markdown(columns, rows, decimals=decimals):
                click.echo(line)
        case "table":
            _write_table(columns, rows, decimals, uncut)
        case _:
            import pyarrow

            _refuse_terminal(format)
            _write_binary(pyarrow.table([list(each) for each in zip(*rows, strict=True)], names=list(columns)), format)


def _write_table(columns: Sequence[str], rows: Rows, decimals: int | None, uncut: frozenset[int]) -> None:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    lines, left_out = table(columns, rows, decimals=decimals, width=width, uncut=uncut)
    for line in lines:
        click.echo(line)
    if not rows:
        click.echo("no rows", err=True)
    if left_out:
        click.echo(f"{left_out}, to fit the terminal; --format csv shows all", err=True)


def _write_file(file: Path, columns: Sequence[str], rows: Rows) -> None:
    special = file.is_symlink() or (file.exists() and not file.is_file())  # /dev/stdout, or a pipe
    try:
        with (
            nullcontext(file) if special else replace_when_complete(file) as path,
            Path(path).open("w", encoding="utf-8", newline="") as out,
        ):
            _write_csv(out, columns, rows)
    except OSError as error:
        raise ProjectError("G606", f"cannot write {file}: {reason_of(error)}") from None
    click.echo(f"{format_count(len(rows), 'row')} written to {file}", err=True)


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001
"""The beginnings of texts that Excel, LibreOffice or Google Sheets run as formulas."""


def _without_formula(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _write_csv(out: TextIO, columns: Sequence[str], rows: Rows) -> None:
    """NULL is an empty field, an empty text is `""`. Python's csv module does not distinguish them."""
    for row in (columns, *rows):
        # Many readers skip an empty line.
        out.write((",".join(_csv_field(format_value(value)) for value in row) or '""') + "\n")


def _csv_field(value: object) -> str:
    if value is None:
        return ""
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if not text or any(mark in text for mark in ',"\r\n') else text


def _write_json(columns: Sequence[str], rows: Rows) -> None:
    """A list of objects, one per line."""
    lines = (json_text(dict(zip(columns, row, strict=True))) for row in rows)
    click.echo("[" + ",\n ".join(lines) + "]")


def _write_binary(content: "pyarrow.Table", format: str) -> None:
    out = io.BytesIO()
    if format == "parquet":
        import pyarrow.parquet

        pyarrow.parquet.write_table(content, out)
    else:
        import pyarrow

        with pyarrow.ipc.new_stream(out, content.schema) as stream:
            stream.write_table(content)
    sys.stdout.buffer.write(out.getvalue())


def _refuse_terminal(format: str) -> None:
    if sys.stdout.isatty():
        raise click.UsageError(f"--format {format} is binary and cannot go to a terminal: use > FILE")


def _rounded(value: Any, decimals: int) -> Any:
    return round(value, decimals) if isinstance(value, float | Decimal) and math.isfinite(value) else value
