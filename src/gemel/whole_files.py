"""Files of rows and text that are written completely or not at all."""

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gemel.errors import ProjectError
from gemel.locking import try_to_lock

if TYPE_CHECKING:
    import pyarrow


def write_rows(
    out: Path, kind: Literal["parquet", "arrow"], schema: "pyarrow.Schema", batches: Iterator["pyarrow.RecordBatch"]
) -> None:
    """Write the rows as a Parquet or Arrow file. One batch is written while the next one is fetched."""
    import pyarrow

    first = next(batches, None)
    with replace_when_complete(out) as path:
        writer = _parquet(path, schema, first) if kind == "parquet" else pyarrow.ipc.new_file(path, schema)
        with writer, ThreadPoolExecutor(max_workers=1) as thread:
            written: Future[None] | None = None
            for batch in chain([] if first is None else [first], batches):
                if written:
                    written.result()
                written = thread.submit(writer.write_batch, batch)
            if written:
                written.result()


def _parquet(path: str, schema: "pyarrow.Schema", first: "pyarrow.RecordBatch | None") -> Any:
    """A writer without dictionaries for values that hardly repeat, such as times: they take space, and most of the
    time."""
    import pyarrow.parquet

    repeating: bool | list[str] = True
    if first is not None and not any(pyarrow.types.is_nested(field.type) for field in schema):
        repeating = [name for name in schema.names if not _hardly_repeats(first[name])]
    return pyarrow.parquet.ParquetWriter(path, schema, use_dictionary=repeating)


def _hardly_repeats(values: "pyarrow.Array") -> bool:
    import pyarrow.compute

    types = pyarrow.types
    is_plain = (types.is_integer, types.is_floating, types.is_temporal, types.is_string, types.is_large_string)
    if not any(is_one(values.type) for is_one in is_plain):
        return False
    return bool(2 * pyarrow.compute.count_distinct(values).as_py() > len(values))


def write_text(out: Path, text: str) -> None:
    """Write text as UTF-8, with its own line ends."""
    with replace_when_complete(out) as path:
        Path(path).write_text(text, encoding="utf-8", newline="\n")


def write_bytes(out: Path, content: bytes) -> None:
    """Write a file as it is."""
    with replace_when_complete(out) as path:
        Path(path).write_bytes(content)


def make_folder(folder: Path) -> None:
    """Create a folder and its parents. Raises ProjectError (G606) if that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from None


@contextmanager
def replace_when_complete(out: Path) -> Iterator[str]:
    """The name of a file beside `out` that replaces it when it is complete: a process that is killed halfway leaves the
    old file. Raises ProjectError (G606) if the folder is not writable."""
    try:
        handle, name = _open_part(out)
    except OSError as error:
        raise _unwritable(out, error) from None
    try:
        yield name
        Path(name).chmod(0o644)
        Path(name).replace(out)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)


def _open_part(out: Path) -> tuple[int, str]:
    """An empty file beside `out`, locked: always the same one, so that what a killed process left is used again. A file
    of another name while another process or thread writes to that one."""
    part = out.with_name(f".{out.name}.part")
    handle = os.open(part, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    if try_to_lock(handle) and _is_at(part, handle):
        os.ftruncate(handle, 0)
        return handle, str(part)
    os.close(handle)
    return tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")


def _is_at(path: Path, handle: int) -> bool:
    """Whether the open file still has that name: whoever wrote to it may have put it in its place meanwhile."""
    try:
        return path.stat().st_ino == os.fstat(handle).st_ino
    except FileNotFoundError:
        return False


def _unwritable(path: Path, error: OSError) -> ProjectError:
    in_the_way = isinstance(error, FileExistsError | NotADirectoryError)
    hint = "move the file that is where a folder must be" if in_the_way else "the folder must exist and be writable"
    return ProjectError("G606", f"cannot write {path}: {error.strerror}", hint=hint)
