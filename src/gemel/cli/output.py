"""Rows for people and for programs: data on stdout or in a file, every other word on stderr."""

import datetime as dt
import io
import json
import math
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, TextIO

import click

from gemel.errors import ProjectError
from gemel.spec.fields import counted

if TYPE_CHECKING:
    import pyarrow

    from gemel.answer import Answer

FORMATS = ("table", "csv", "json", "markdown", "arrow", "parquet")
BINARY = ("arrow", "parquet")
DECIMALS = 4  # how many a table shows of a fraction when nobody says
NARROWEST = 8  # a column of a table is not squeezed below this many characters

Rows = Sequence[tuple[Any, ...]]


def output_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--format, --csv and --decimals."""
    options = (
        click.option("--format", type=click.Choice(FORMATS), default="table", show_default=True, help="What to write."),
        click.option("--csv", type=click.Path(dir_okay=False), metavar="FILE", help="Write CSV into this file."),
        click.option("--decimals", type=click.IntRange(0, 15), help="Round fractions to this many places."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def write_answer(answer: "Answer", *, format: str, csv: str | None = None, decimals: int | None = None) -> None:
    """Run the answer and write it."""
    if format in BINARY and csv is None:
        _refuse_terminal(format)
        with waiting("the database is answering"):
            table = answer.arrow()
        _write_binary(table, format)
        return
    with waiting("the database is answering"):
        rows = answer.rows()
    write_rows(answer.columns, rows, format=format, csv=csv, decimals=decimals)


def write_rows(
    columns: Sequence[str], rows: Rows, *, format: str, csv: str | None = None, decimals: int | None = None
) -> None:
    """Write rows in one of FORMATS to stdout, or as CSV into a file."""
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
            _write_table(columns, rows, decimals)
        case _:
            import pyarrow

            _refuse_terminal(format)
            _write_binary(pyarrow.table([list(each) for each in zip(*rows, strict=True)], names=list(columns)), format)


def table(
    columns: Sequence[str], rows: Rows, *, decimals: int | None = None, width: int | None = None
) -> tuple[list[str], str | None]:
    """The lines of a table no wider than `width`, and what was left out to get there (None: nothing)."""
    cells, numeric = _texts(columns, rows, decimals)
    widths = [max(_width(line[i]) for line in cells) for i in range(len(columns))]
    shown, cut = _fit(widths, numeric, width)
    lines = ["  ".join(_padded(line[i], w, numeric[i]) for i, w in enumerate(shown)).rstrip() for line in cells]
    lines.insert(1, "  ".join("-" * w for w in shown))
    left_out = []
    if len(shown) < len(columns):
        left_out.append(f"{len(columns) - len(shown)} columns left out ({', '.join(columns[len(shown) :])})")
    if cut:
        left_out.append("long texts cut")
    return lines, " and ".join(left_out) or None


def markdown(columns: Sequence[str], rows: Rows, *, decimals: int | None = None) -> Iterator[str]:
    """The lines of a Markdown table, numbers to the right."""
    cells, numeric = _texts(columns, rows, decimals)
    for number, line in enumerate(cells):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |"
        if number == 0:
            yield "| " + " | ".join("--:" if right else "---" for right in numeric) + " |"


@contextmanager
def waiting(what: str | Callable[[], str]) -> Iterator[None]:
    """On a terminal, say how long it has been, once it is more than two seconds; and how far it is, if that is told."""
    if not sys.stderr.isatty():
        yield
        return
    done = Event()

    def tell() -> None:
        seconds = 2
        while not done.wait(2 if seconds == 2 else 1):
            said = what if isinstance(what, str) else what()
            sys.stderr.write(f"\r\033[K{said} ({seconds} s; Ctrl-C stops it)")
            sys.stderr.flush()
            seconds += 1
        if seconds > 2:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()

    teller = Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()


def _write_table(columns: Sequence[str], rows: Rows, decimals: int | None) -> None:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    lines, left_out = table(columns, rows, decimals=decimals, width=width)
    for line in lines:
        click.echo(line)
    if not rows:
        click.echo("no rows", err=True)
    if left_out:
        click.echo(f"{left_out}, to fit the terminal; --format csv shows all", err=True)


def _write_file(file: Path, columns: Sequence[str], rows: Rows) -> None:
    try:
        with file.open("w", encoding="utf-8", newline="") as out:
            _write_csv(out, columns, rows)
    except OSError as error:
        raise ProjectError("G606", f"cannot write {file}: {error.strerror or error}") from None
    click.echo(f"{counted(len(rows), 'row')} into {file}", err=True)


def _write_csv(out: TextIO, columns: Sequence[str], rows: Rows) -> None:
    """What is NULL is nothing between its commas, an empty text is `""`, which Python's writer writes alike."""
    for row in (columns, *rows):
        # A line of nothing is no row to many readers.
        out.write((",".join(_csv_field(_plain(value)) for value in row) or '""') + "\n")


def _csv_field(value: object) -> str:
    if value is None:
        return ""
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if not text or any(mark in text for mark in ',"\r\n') else text


def _write_json(columns: Sequence[str], rows: Rows) -> None:
    """A list of objects, one on a line."""
    lines = (json.dumps(dict(zip(columns, map(_json, row), strict=True)), ensure_ascii=False) for row in rows)
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
        raise click.UsageError(f"--format {format} is not for a terminal: send it to a file, with > FILE")


# --- cells ----------------------------------------------------------------------------------------------------


def _texts(columns: Sequence[str], rows: Rows, decimals: int | None) -> tuple[list[list[str]], list[bool]]:
    """The header and the rows as texts, and which columns are numbers."""
    by_column = [[row[i] for row in rows] for i in range(len(columns))]
    numeric = [_is_numeric(values) for values in by_column]
    shown = [_column(values, decimals) for values in by_column]
    return [[_visible(name) for name in columns], *(list(line) for line in zip(*shown, strict=True))], numeric


def _column(values: list[Any], decimals: int | None) -> list[str]:
    """One column's values alike: as many decimals, and times without 00:00 where all are midnights.

    A lone value is shown in full, unless `decimals` says otherwise; a list of them is to be looked over.
    """
    present = [value for value in values if value is not None]
    if present and all(isinstance(value, dt.datetime) for value in present):
        midnights = all(value.time() == dt.time() for value in present)
        return ["NULL" if v is None else str(v.date() if midnights else v) for v in values]
    fractions = [v for v in present if isinstance(v, float | Decimal) and math.isfinite(v)]
    if fractions and _is_numeric(values) and (len(values) > 1 or decimals is not None):
        places = decimals if decimals is not None else _places(fractions)
        return ["NULL" if v is None else f"{v:.{places}f}" if math.isfinite(v) else str(v) for v in values]
    return ["NULL" if value is None else _visible(str(_plain(value))) for value in values]


def _places(values: list[Any]) -> int:
    """The fewest decimals that show all of the values, up to DECIMALS; more where one would look like zero."""
    for places in range(DECIMALS + 1):
        if all(round(value, places) == value for value in values):
            return places
    smallest = min(abs(value) for value in values if value)
    return max(DECIMALS, min(15, 1 - math.floor(math.log10(smallest))) if smallest < 10**-DECIMALS else 0)


def _is_numeric(values: Iterable[Any]) -> bool:
    present = [value for value in values if value is not None]
    return bool(present) and all(
        isinstance(value, int | float | Decimal) and not isinstance(value, bool) for value in present
    )


def _rounded(value: Any, decimals: int) -> Any:
    return round(value, decimals) if isinstance(value, float | Decimal) and math.isfinite(value) else value


def _plain(value: Any) -> Any:
    """A value as CSV and tables write it."""
    match value:
        case bool():
            return "true" if value else "false"
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case bytes():
            return value.hex()
        case list() | dict():
            return json.dumps(value, default=str, ensure_ascii=False)
        case _:
            return value


def _json(value: Any) -> Any:
    match value:
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case float() if not math.isfinite(value):
            return None
        case None | bool() | int() | float() | str():
            return value
        case list() | tuple():
            return [_json(each) for each in value]
        case dict():
            return {str(key): _json(each) for key, each in value.items()}
        case _:
            return str(_plain(value))


def _visible(text: str) -> str:
    """Line breaks and control characters spelled out: a value must not move the cursor of a terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


# --- widths ---------------------------------------------------------------------------------------------------


def _fit(widths: list[int], numeric: list[bool], width: int | None) -> tuple[list[int], bool]:
    """Column widths for a terminal: the widest texts shrink first, then columns go, from the right."""
    shown = list(widths)
    cut = False
    while width is not None and sum(shown) + 2 * (len(shown) - 1) > width:
        shrinkable = [i for i, w in enumerate(shown) if not numeric[i] and w > NARROWEST]
        if shrinkable:
            widest = max(shrinkable, key=lambda i: shown[i])
            excess = sum(shown) + 2 * (len(shown) - 1) - width
            shown[widest] = max(NARROWEST, shown[widest] - min(excess, max(1, shown[widest] // 4)))
            cut = True
        elif len(shown) > 1:
            shown.pop()
        else:
            break
    return shown, cut


def _padded(text: str, width: int, right: bool) -> str:
    if _width(text) > width:
        while _width(text) > width - 1:
            text = text[:-1]
        text += "…"
    space = " " * (width - _width(text))
    return space + text if right else text + space


def _width(text: str) -> int:
    """Columns of a terminal: two for a wide character, none for a combining one."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )
