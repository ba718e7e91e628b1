"""Sessions that a page shows: what was typed after `$ `, and what stood below it on a terminal."""

import os
import pty
import re
import subprocess
from pathlib import Path

INDENT = "    "


def shown_sessions(page: str) -> list[tuple[str, str]]:
    """Each command of a page's sessions with what it shows. A command goes on after a backslash."""
    shown: list[tuple[str, list[str]]] = []
    continues = inside = False
    for line in page.splitlines():
        text = line.removeprefix(INDENT)
        if line.startswith(f"{INDENT}$ "):
            shown.append((text[2:], []))
            inside = True
        elif continues:
            command, _ = shown.pop()
            shown.append((f"{command.removesuffix(chr(92)).rstrip()} {text.strip()}", []))
        elif inside and (line.startswith(INDENT) or not line.strip()):
            shown[-1][1].append(text)
            continue
        else:
            inside = False
        continues = inside and line.endswith("\\")
    return [(command, "\n".join(lines).strip("\n")) for command, lines in shown]


def on_terminal(command: list[str], folder: Path | None = None, *, columns: int = 120) -> tuple[int, str]:
    """The exit code of a command, and what it writes to a terminal: stdout and stderr as they come."""
    leader, follower = pty.openpty()
    size = {"COLUMNS": str(columns), "LINES": "50"}
    process = subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=follower, env=os.environ | size, cwd=folder
    )
    os.close(follower)
    written = b""
    while part := _read(leader):
        written += part
    os.close(leader)
    return process.wait(), written.decode().replace("\r\n", "\n")


def matches(shown: str, written: str) -> bool:
    """Whether a terminal shows what the page says: a line `...` of the page stands for any lines."""
    lines = [r"(?:.*\n)*?.*" if line.strip() == "..." else re.escape(line.rstrip()) for line in shown.split("\n")]
    plain = [re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line.rpartition("\r")[2]).rstrip() for line in written.split("\n")]
    return re.fullmatch("\n".join(lines), "\n".join(plain).strip("\n")) is not None


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux's end of a terminal that nobody holds any more
        return b""
