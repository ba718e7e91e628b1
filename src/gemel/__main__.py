"""The process `gemel`, or `python -m gemel`: the command line, and a quick end."""

import atexit
import os
import sys
import threading
from contextlib import suppress
from typing import NoReturn

from gemel.cli import main


def run() -> NoReturn:
    """Run the arguments of the process and end it.

    Python would look through all that a command has made for garbage, a tenth of the time of a large `gemel generate`,
    only to give back what the system takes back anyway.
    """
    code = main()
    if len(threading.enumerate()) > 1:  # Python knows how to wait for those that work
        sys.exit(code)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it, or it is closed
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    run()
