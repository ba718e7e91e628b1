"""DuckDB's errors become ours here and nowhere else."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gemel.engines.connections.exceeded import RAISE_MEMORY
from gemel.engines.connections.files import Profile
from gemel.errors import WarehouseError
from gemel.spec.limits import NO_LIMITS, Limits

if TYPE_CHECKING:
    import duckdb

TYPE_MISMATCH = "a column, or a value in a filter, has another type than the value it is compared or combined with"


class UnlistedFileError(WarehouseError):
    """A file that the database may not read, as far as it has been looked up."""


@contextmanager
def translate_errors(profile: Profile | None = None, limits: Limits = NO_LIMITS) -> Iterator[None]:
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise _error(error, profile, limits) from None


def _error(error: "duckdb.Error", profile: Profile | None, limits: Limits) -> WarehouseError:
    import duckdb

    message = str(error)
    first = re.sub(r"^[A-Z][\w ]* Error: ", "", message.splitlines()[0] if message else type(error).__name__)
    near = re.search(r'(?:Did you mean|Candidate bindings:)[ :]*"([^"\n]+)"', message)
    hint = f"did you mean {near[1]}?" if near else None
    if "lock on file" in message or "Unique file handle conflict" in message or "different configuration" in message:
        holder = re.search(r"PID (\d+)", message)
        who = f"process {holder[1]}" if holder else "another connection"
        return WarehouseError(
            "G403",
            f"{who} is writing to the database: {profile.path if profile else first}",
            hint="wait for it to end (is it a dbt build?), or close it",
        )
    if "not a valid DuckDB database" in message or "newer version" in message or "Serialization" in message:
        hint = "was the file written by another version of DuckDB, or is it not a DuckDB file?"
        return WarehouseError("G402", first, hint=hint)
    match error:
        case duckdb.CatalogException() if "Function with name" in first:
            return WarehouseError("G406", first, hint=hint or "check the functions in the definitions and filters")
        case duckdb.CatalogException():
            build = "`dbt build` creates the tables; was it run since the models changed?"
            return WarehouseError("G405", first, hint=f"{hint} {build}" if hint else build)
        case duckdb.BinderException() | duckdb.ParserException():
            return WarehouseError(
                "G406",
                first,
                hint=hint or "check the filters and the definitions (--explain prints the SQL), and run `dbt build`",
            )
        case duckdb.ConversionException():
            return WarehouseError("G407", first, hint=TYPE_MISMATCH)
        case duckdb.OutOfMemoryException() if limits.memory is not None or limits.disk is not None:
            return WarehouseError("G410", f"out of memory: {first}", hint=RAISE_MEMORY)
        case duckdb.OutOfMemoryException():
            hint = (
                "what does not fit into memory goes to the folder for temporary files (TMPDIR), which needs space; "
                "`settings: {memory_limit: ...}` in profiles.yml sets the limit; fewer `threads` need less memory"
            )
            return WarehouseError("G407", f"out of memory: {first}", hint=hint)
        case duckdb.PermissionException() if "file system operations are disabled" in first:
            return UnlistedFileError(
                "G401",
                first.replace("file system operations are disabled by configuration", "no view names it as a text"),
                hint="`settings: {enable_external_access: true}` of the target in profiles.yml lets every file be read",
            )
        case duckdb.InterruptException():
            return WarehouseError("G407", "the query was interrupted")
        case duckdb.IOException():
            hint = "check the files that the database and its views read"
            if profile is not None and profile.folder:
                hint += f"; relative paths start at the current directory, or at the project {profile.folder}"
            return WarehouseError("G401", first, hint=hint)
        case _:
            return WarehouseError("G407", first)


def installed(package: str, hint: str | None = None) -> Any:
    """Import an optional package. Raises WarehouseError (G408) if it is not installed."""
    try:
        return import_module(package)
    except ImportError:
        hint = hint or f"pip install {package}, or use .arrow() or .rows()"
        raise WarehouseError("G408", f"{package} is not installed", hint=hint) from None
