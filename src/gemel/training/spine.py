"""The spine: the rows that get features. It can be read several times, always in the same order.

Only the keys, inputs and times of a spine go through the engine. Its columns and their types come out unchanged.
"""

import hashlib
import io
import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from gemel.compiler.compiled import keep_text
from gemel.compiler.features.cells import MOMENT
from gemel.compiler.features.streams import ROW
from gemel.engines.duckdb import DIALECT
from gemel.errors import BridgeError, GemelError, WarehouseError, did_you_mean
from gemel.run import ScratchRunner

if TYPE_CHECKING:
    import pyarrow


BATCH = 131_072
"""Rows in a batch, and in a row group of the file written."""

FILES = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".tsv": "csv", ".arrow": "arrow", ".feather": "arrow"}


@dataclass(frozen=True, slots=True)
class Spine:
    """`name` is for the manifest; `sha256` is the hash of the file's bytes, or of the rows as an Arrow stream."""

    schema: "pyarrow.Schema"
    rows: int
    name: str
    sha256: str
    read: Callable[[Sequence[str]], Iterator["pyarrow.RecordBatch"]]
    """Read some of the columns, in batches of BATCH rows (the last one may be smaller)."""


def read_spine(rows: Any, scratch: ScratchRunner, *, temp: Path, texts: Sequence[str] = ()) -> Spine:
    """A spine from a file's path, a SELECT, a pandas DataFrame, or anything that pyarrow can read.

    `texts` names the columns that are always read from a CSV file as text. Raises BridgeError (G550).
    """
    if isinstance(rows, str) and not _is_file(rows):
        return _of_select(rows, scratch, temp)
    if isinstance(rows, str | Path):
        return _of_file(Path(rows), scratch, temp, texts)
    table = _table(rows)
    return _of_table(table, "a table", _hash(_slices(table)))


def _is_file(text: str) -> bool:
    return Path(text).suffix.lower() in FILES or not re.match(r"\s*(select|with|from)\s|\s*\(", text, re.IGNORECASE)


def _of_file(path: Path, scratch: ScratchRunner, temp: Path, texts: Sequence[str]) -> Spine:
    kind = FILES.get(path.suffix.lower())
    if not path.is_file():
        what = f"there is no spine {str(path)!r}"
        if not kind and " " in str(path):
            what = f"{str(path)[:80]!r} is neither an existing file nor a SELECT"
        raise BridgeError("G550", what, hint="name a file, or write a SELECT over the project's tables")
    if kind is None:
        raise BridgeError("G550", f"{path.name} is not of a file type that a spine can have", hint=f"one of {_KINDS}")
    sha256 = file_hash(path)
    if kind == "csv":
        try:
            return _of_rows(_csv(path, scratch, texts), scratch, temp, str(path), sha256)
        except WarehouseError as error:
            if not re.search("CSV|sniffing", error.message):  # such as a lack of memory
                raise
            hint = "each line needs the columns of the first one; other programs can read them with other rules"
            message = f"{path.name} cannot be read as csv: {error.message}"
            raise BridgeError("G550", message, hint=hint) from None
    import pyarrow

    try:
        if kind == "parquet":
            return _of_parquet(path, str(path), sha256)
        with pyarrow.memory_map(str(path)) as file:
            return _of_table(pyarrow.ipc.open_file(file).read_all(), str(path), sha256)
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise BridgeError("G550", f"{path.name} cannot be read as {kind}: {reason}", hint=f"one of {_KINDS}") from None


_KINDS = ", ".join(FILES)


def _of_select(sql: str, scratch: ScratchRunner, temp: Path) -> Spine:
    text = sql.strip().rstrip(";")
    if template := re.search(r"\{\{.*?(?:\}\}|$)|\{%", text):
        named = re.search(r"['\"]([^'\"]+)['\"]\s*\)", template[0])
        raise BridgeError(
            "G550",
            f"the database gets a spine's SELECT as written, and does not know {template[0][:80]}",
            hint=f"write the table's name{f': {named[1]}, or schema.{named[1]}' if named else ''}",
        )
    try:
        is_select = scratch.is_select(text)
    except GemelError as error:
        raise BridgeError(
            "G550",
            f"the spine is not valid SQL: {error.message}",
            hint="write one SELECT over the project's tables, or name a file",
        ) from None
    if not is_select:
        raise BridgeError("G550", "a spine must be one SELECT and nothing else", hint="write only the SELECT")
    try:
        return _of_rows(text, scratch, temp, text, None)
    except WarehouseError as error:
        if error.hint and "--explain" in error.hint:
            error.hint = "it is the spine's SELECT; tables and columns are named as in the database"
        raise


def _csv(path: Path, scratch: ScratchRunner, texts: Sequence[str]) -> str:
    """The SELECT of a CSV file's rows, without what DuckDB would guess: it skips lines of another length, and
    reads `01/02/2024` as the first of February. Raises BridgeError (G550) for the first; the second stays a text."""
    file = exp.Literal.string(str(path)).sql(DIALECT)
    what = "Columns, HasHeader, DateFormat, TimestampFormat"
    [(columns, has_header, *formats)] = scratch.rows(
        keep_text(f"SELECT {what} FROM sniff_csv({file})", scratch.dialect)
    )
    types = {column["name"]: column["type"] for column in columns}
    if not has_header or (len(types) == 1 and re.search(r"[,;\t]", next(iter(types)))):
        raise BridgeError(
            "G550",
            f"{path.name} cannot be read as csv: its first line must have the names of the columns of every line",
            hint="quote values that contain the delimiter",
        )
    guessed = dict(zip(("DATE", "TIMESTAMP"), formats, strict=True))
    as_texts = [name for name, type_ in types.items() if name in texts or (guessed.get(type_) or "%Y")[:2] != "%Y"]
    read_as = ", ".join(f"{exp.Literal.string(name).sql(DIALECT)}: 'VARCHAR'" for name in as_texts)
    return f"SELECT * FROM read_csv({file}{f', types = {{{read_as}}}' if read_as else ''})"


def _of_rows(sql: str, scratch: ScratchRunner, temp: Path, name: str, sha256: str | None) -> Spine:
    """The rows of a SELECT, kept in a file: a second run might return them in another order."""
    import pyarrow.parquet

    file = temp / "spine.parquet"
    schema, batches = scratch.stream(keep_text(sql, scratch.dialect), size=BATCH)
    _check_names(schema.names)
    with pyarrow.parquet.ParquetWriter(file, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    spine = _of_parquet(file, name, "")
    return Spine(spine.schema, spine.rows, name, sha256 or _hash(spine.read(spine.schema.names)), spine.read)


def _of_parquet(path: Path, name: str, sha256: str) -> Spine:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows

    def read(columns: Sequence[str]) -> Iterator["pyarrow.RecordBatch"]:
        with pyarrow.parquet.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=BATCH, columns=list(columns))

    return Spine(schema, rows, name, sha256, read)


def _table(rows: Any) -> "pyarrow.Table":
    import pyarrow

    try:
        if type(rows).__module__.startswith("pandas."):
            return pyarrow.Table.from_pandas(rows)
        return rows if isinstance(rows, pyarrow.Table) else pyarrow.table(rows)
    except (pyarrow.ArrowException, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise BridgeError(
            "G550",
            f"a {type(rows).__name__} cannot be read as a spine: {reason}",
            hint="give a file's path, a SELECT, a pandas DataFrame or a pyarrow Table",
        ) from None


def _of_table(table: "pyarrow.Table", name: str, sha256: str) -> Spine:
    return Spine(table.schema, table.num_rows, name, sha256, lambda columns: _slices(table.select(list(columns))))


def _slices(table: "pyarrow.Table") -> Iterator["pyarrow.RecordBatch"]:
    for start in range(0, table.num_rows, BATCH):
        yield from table.slice(start, BATCH).combine_chunks().to_batches()


def check_columns(
    spine: Spine,
    keys: Mapping[str, str],
    inputs: Mapping[str, str],
    features: Mapping[str, str],
    *,
    time_column: str = MOMENT,
) -> None:
    """Check that the features can be joined. `keys` are the entities and `inputs` the inputs of on-demand features,
    with their types; `features` are the features with their views.

    Raises BridgeError (G551, G552, G553, G554).
    """
    import pyarrow

    _check_names(spine.schema.names)
    needed = dict.fromkeys(inputs, "an input of the features") | dict.fromkeys(keys, "an entity of the features")
    for name, what in (needed | {time_column: "the time of its rows"}).items():
        if name not in spine.schema.names:
            option = "; --time-column names another one" if name == time_column else ""
            near = did_you_mean(name, spine.schema.names) or f"it has {', '.join(spine.schema.names)}"
            raise BridgeError("G551", f"the spine has no column {name!r}, {what}", hint=near + option)
    columns = {name.lower(): name for name in spine.schema.names}
    for name, view in features.items():
        if name.lower() in columns:
            raise BridgeError(
                "G552",
                f"feature {view}.{name} has the name of the spine's column {columns[name.lower()]!r}",
                hint="rename the column, or omit it if it holds an older value of the feature",
            )
    for name, type_ in keys.items():
        actual = spine.schema.field(name).type
        is_text = _is_text(actual)
        if not pyarrow.types.is_null(actual) and not (is_text if type_ == "string" else _is_integer(actual)):
            raise BridgeError(
                "G553", f"the spine's {name!r} is {actual}, and the features' is {type_}", hint=_cast(actual)
            )
    for name, type_ in inputs.items():
        actual = spine.schema.field(name).type
        if not _can_be(actual, type_):
            raise BridgeError(
                "G553", f"the spine's {name!r} is {actual}, and the features' input is {type_}", hint=_cast(actual)
            )
    time = spine.schema.field(time_column).type
    if not (pyarrow.types.is_timestamp(time) or pyarrow.types.is_date(time)):
        raise BridgeError(
            "G554",
            f"the spine's {time_column!r} must be a timestamp, and is {time}",
            hint="write 2024-01-31T09:15:00Z in a CSV file, CAST(... AS TIMESTAMP) in SQL, pandas.to_datetime(...) in "
            "Python; without a zone it is UTC",
        )


def _check_names(names: Sequence[str]) -> None:
    names_by_lower: dict[str, str] = {}
    for name in names:
        other = names_by_lower.setdefault(name.lower(), name)
        if list(names).count(name) > 1 or other != name:
            raise BridgeError(
                "G552", f"the spine has the columns {other!r} and {name!r}, which SQL cannot tell apart",
                hint="rename one of them",
            )  # fmt: skip


def _is_text(actual: "pyarrow.DataType") -> bool:
    import pyarrow

    if pyarrow.types.is_dictionary(actual):
        return _is_text(actual.value_type)
    texts = (pyarrow.types.is_string, pyarrow.types.is_large_string, pyarrow.types.is_string_view)
    return any(is_one(actual) for is_one in texts)


def _is_integer(actual: "pyarrow.DataType") -> bool:
    import pyarrow

    return bool(pyarrow.types.is_integer(actual))


def _can_be(actual: "pyarrow.DataType", type_: str) -> bool:
    """Whether a column can become an input of a type without loss."""
    import pyarrow

    is_ = pyarrow.types
    if is_.is_null(actual):
        return True
    match type_:
        case "int64":
            return _is_integer(actual)
        case "float64":
            return _is_integer(actual) or is_.is_floating(actual) or is_.is_decimal(actual)
        case "string":
            return _is_text(actual)
        case "bool":
            return bool(is_.is_boolean(actual))
        case _:
            return bool(is_.is_timestamp(actual) or is_.is_date(actual))


def _cast(actual: "pyarrow.DataType") -> str:
    import pyarrow

    if pyarrow.types.is_floating(actual):
        return "pandas makes fractions of integers with gaps: take .astype('Int64'), or CAST(... AS BIGINT)"
    return (
        "cast the spine's column: .astype('int64') or .astype('str') in pandas, CAST(... AS BIGINT) or VARCHAR in SQL"
    )


def requests_of(
    spine: Spine, keys: Mapping[str, str], inputs: Mapping[str, str], *, time_column: str = MOMENT
) -> "pyarrow.RecordBatchReader":
    """The spine's keys, inputs and times with row numbers; times in UTC, without a zone."""
    import pyarrow
    import pyarrow.compute

    moment = pyarrow.timestamp("us")
    kinds = {
        **{"int64": pyarrow.int64(), "float64": pyarrow.float64(), "string": pyarrow.string()},
        **{"bool": pyarrow.bool_(), "timestamp": moment},
    }
    types = {name: pyarrow.string() if type_ == "string" else pyarrow.int64() for name, type_ in keys.items()}
    types |= {name: kinds[type_] for name, type_ in inputs.items()}
    schema = pyarrow.schema([(ROW, pyarrow.int64()), *types.items(), (MOMENT, moment)])

    def batches() -> Iterator["pyarrow.RecordBatch"]:
        row = 0
        for batch in spine.read([*dict.fromkeys([*types, time_column])]):
            counted = pyarrow.py_buffer(array("q", range(row, row + batch.num_rows)))
            numbers = pyarrow.Array.from_buffers(pyarrow.int64(), batch.num_rows, [None, counted])
            columns = [_cast_to(batch.column(name), type_) for name, type_ in types.items()]
            columns.append(_cast_to(batch.column(time_column), moment))
            yield pyarrow.record_batch([numbers, *columns], schema=schema)
            row += batch.num_rows

    return pyarrow.RecordBatchReader.from_batches(schema, batches())


def _cast_to(column: "pyarrow.Array", type_: "pyarrow.DataType") -> "pyarrow.Array":
    """Cast a column: times are cut to microseconds, and fractions rounded to doubles."""
    import pyarrow

    return column.cast(type_, safe=not (pyarrow.types.is_timestamp(type_) or pyarrow.types.is_floating(type_)))


class _Hash(io.RawIOBase):
    def __init__(self) -> None:
        self.hash = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self.hash.update(content)
        return len(memoryview(content))


def _hash(batches: Iterator["pyarrow.RecordBatch"]) -> str:
    import pyarrow

    out, stream = _Hash(), None
    for batch in batches:
        plain = batch.replace_schema_metadata(None)
        stream = stream or pyarrow.ipc.new_stream(out, plain.schema)
        stream.write_batch(plain)
    return out.hash.hexdigest()


def file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
