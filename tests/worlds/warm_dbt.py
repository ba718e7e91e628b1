"""dbt without the seconds that its import takes: each run is a fork of a process that has imported it."""

import gc
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["dbt.cli.main", "dbt.adapters.duckdb", "dbt.adapters.postgres"])


def run(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None, **_: Any
) -> subprocess.CompletedProcess[str]:
    """As subprocess.run gives it, of `python -c "from dbt.cli.main import cli; cli()" parse` or the like."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = FORKS.Process(target=_dbt, args=(command[3:], str(cwd), dict(env or os.environ), str(out), str(err)))
        process.start()
        process.join()
        return subprocess.CompletedProcess(command, process.exitcode or 0, out.read_text(), err.read_text())


def _dbt(arguments: list[str], cwd: str, env: dict[str, str], out: str, err: str) -> None:
    for stream, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), stream)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["dbt", *arguments]
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import cli

    try:
        cli()
    finally:  # a fork ends without dbt's last steps, by which a DuckDB file becomes whole
        DuckDBConnectionManager.close_all_connections()
        gc.collect()
