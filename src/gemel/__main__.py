"""The process `gemel`, or `python -m gemel`: runs the command line and ends quickly."""

import atexit
import os
import sys
import threading
from contextlib import suppress
from typing import NoReturn

from gemel.cli import main


def run() -> NoReturn:
    """Run the command line with the arguments of the process, then end the process.

    Python would first look for garbage in everything that the command created, which takes a tenth of the time of a
    large `gemel generate`, only to free memory that the system frees anyway.
    """
    code = main()
    if len(threading.enumerate()) > 1:  # Python waits for running threads
        sys.exit(code)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # the reader has gone, or the stream is closed
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    run()
