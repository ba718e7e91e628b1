"""How a profile's DuckDB files are opened: for reading only, and with no access to other files than its views read."""

import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gemel.cancellation import check
from gemel.engines.connections.files import Profile
from gemel.engines.connections.view_files import Files, find_files
from gemel.errors import WarehouseError
from gemel.spec.limits import NO_LIMITS, Limits
from gemel.waits import Wait

if TYPE_CHECKING:
    import duckdb

SAFE: dict[str, Any] = {"python_enable_replacements": False, "autoinstall_known_extensions": False}


def read_view_files(cursor: "duckdb.DuckDBPyConnection", profile: Profile) -> Files:
    """The files that the views of all attached databases read. Raises WarehouseError (G401)."""
    views = cursor.execute("SELECT sql FROM duckdb_views() WHERE NOT internal").fetchall()
    return find_files((str(sql) for (sql,) in views), profile.folder)


def start_paths(connection: "duckdb.DuckDBPyConnection", files: Files) -> None:
    """Let relative paths start where the files are."""
    if files.start:
        [(others,)] = connection.execute("SELECT current_setting('file_search_path')").fetchall()
        folders = ",".join(filter(None, (files.start, others)))
        connection.execute(f"SET GLOBAL file_search_path = {literal(folders)}")


def open_files(
    profile: Profile,
    settings: Mapping[str, Any] | None = None,
    *,
    timezone: str = "",
    limits: Limits = NO_LIMITS,
    say: Callable[[str], None] = lambda line: None,
) -> "duckdb.DuckDBPyConnection":
    """A database in memory to which the profile's files are attached. `timezone` replaces that of the profile.

    If another process writes to a file, `say` it and wait, as long as the limits allow.
    """
    import duckdb

    _check_file(profile.path, profile)
    for attachment in profile.attach:
        _check_file(attachment.path, profile)
    connection = duckdb.connect(":memory:", config={**SAFE, **(settings or {})})
    for extension in profile.extensions:
        connection.load_extension(extension)
    # Times with a zone are shown and truncated in UTC, wherever this runs, unless project or profile name another zone.
    others = {name: value for name, value in profile.settings.items() if name.lower() not in ("timezone", _EXTERNAL)}
    for name, value in {"TimeZone": timezone or zone_of(profile.settings) or "UTC", **others}.items():
        connection.execute(f"SET GLOBAL {quoted(name)} = {literal(value)}")
    for name, size in {"memory_limit": limits.memory, "max_temp_directory_size": limits.disk}.items():
        if size is not None:
            connection.execute(f"SET GLOBAL {name} = '{max(1, size // 1024)}KiB'")
    deadline = time.monotonic() + limits.wait
    for path, name in [(profile.path, profile.database), *((each.path, each.name) for each in profile.attach)]:
        if path != ":memory:":
            _attach(connection, path, name, deadline, say)
    return connection


def confine(connection: "duckdb.DuckDBPyConnection", profile: Profile, files: Files) -> None:
    """Close the file system except for `files`, unless the profile opens it, and lock the configuration."""
    start_paths(connection, files)
    if not opens_files(profile):
        if any("://" in each for each in files.paths | files.folders):
            _load_remote(connection)
        for setting, added in (("allowed_paths", files.paths), ("allowed_directories", files.folders)):
            [(allowed,)] = connection.execute(f"SELECT current_setting('{setting}')").fetchall()
            listed = ", ".join(literal(each) for each in (*allowed, *sorted(added)))
            connection.execute(f"SET GLOBAL {setting} = [{listed}]")
        connection.execute("SET GLOBAL enable_external_access = false")
    connection.execute("SET GLOBAL lock_configuration = true")


_EXTERNAL = "enable_external_access"


def opens_files(profile: Profile) -> bool:
    """Whether SQL may read every file."""
    opened = next((value for name, value in profile.settings.items() if name.lower() == _EXTERNAL), "false")
    return opened.lower() in ("true", "1", "on")


def zone_of(settings: Mapping[str, Any]) -> str:
    """The time zone among a profile's settings, or ""."""
    return next((str(value) for name, value in settings.items() if str(name).lower() == "timezone"), "")


def _attach(
    connection: "duckdb.DuckDBPyConnection", path: str, name: str, deadline: float, say: Callable[[str], None]
) -> None:
    import duckdb

    turn = Wait(say, deadline=deadline, pause=0.2)
    while True:
        check()
        try:
            connection.execute(f"ATTACH {literal(path)} AS {quoted(name)} (READ_ONLY, TYPE duckdb)")
            return
        except duckdb.IOException as error:
            holder = re.search(r"lock on file.*?PID (\d+)", str(error), re.DOTALL)
            if holder is None or int(holder[1]) == os.getpid() or turn.is_over:
                raise
            turn.pause(f"process {holder[1]} is writing to {path}; waiting for it to end")


def _load_remote(connection: "duckdb.DuckDBPyConnection") -> None:
    """What reads files over the network, and the secrets for it: neither can be loaded without the file system."""
    import duckdb

    for extension in ("httpfs", "azure"):
        with suppress(duckdb.Error):  # only what is installed
            connection.load_extension(extension)
    connection.execute("SELECT count(*) FROM duckdb_secrets()").fetchall()


def _check_file(path: str, profile: Profile) -> None:
    if path == ":memory:":
        if not profile.attach:
            raise WarehouseError(
                "G401",
                f"target {profile.target!r} keeps its tables in memory: they disappear when dbt ends",
                hint="give the target a `path` in profiles.yml",
            )
    elif "://" not in path and not Path(path).is_file():
        what = "is a directory" if Path(path).is_dir() else "does not exist"
        raise WarehouseError(
            "G401", f"the DuckDB file {path} {what}", hint="create it with `dbt build`, or name another with --database"
        )


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
