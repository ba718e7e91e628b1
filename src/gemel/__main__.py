"""The process `gemel`, or `python -m gemel`: runs the command line and ends quickly."""

import atexit
import os
import sys
import threading
from contextlib import suppress
from typing import NoReturn

try:
    from gemel.cli import main
except KeyboardInterrupt:  # pressed before there is a command that it could stop
    print("stopped", file=sys.stderr)
    os._exit(130)


def run() -> NoReturn:
    """Run the command line with the arguments of the process, then end the process.

    Python would first look for garbage in everything that the command created, which takes a tenth of the time of a
    large `gemel generate`, only to free memory that the system frees anyway.
    """
    code = main()
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    if not all(thread.daemon for thread in others):  # Python waits for running threads
        sys.exit(code)
    if not others:  # a query that cannot be stopped is not waited for
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # the reader has gone, or the stream is closed
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    run()
