"""Opens a project whose generated files break `dbt parse`, so that `gemel generate` can write them anew.

A merge leaves conflict marks in them, another tool half of one, an older release other macros, a renamed model a
reference to nothing. dbt parses the project without them, and then they are back in their places.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gemel.dbt.project_file import find_project
from gemel.errors import GemelError, ProjectError
from gemel.files import list_generated, stand_in
from gemel.whole_files import write_bytes

if TYPE_CHECKING:
    from gemel.project import Project

Say = Callable[[str], None]


def open_despite_generated(open: "Callable[[], Project]", start: Path, say: Say) -> "Project":
    """What `open` gives, even if dbt cannot parse the generated files of the project at `start`.

    Raises what `open` raises, if dbt cannot parse the project without them either.
    """
    try:
        return open()
    except ProjectError as error:
        root = find_project(start)
        files = [] if root is None else list_generated(root)
        broken = _named(files, str(error))
        if error.code != "G603" or root is None or not broken:
            raise
        first = error
    with _set_aside(files):
        try:
            opened = open()
        except GemelError:
            raise first from None
    names = ", ".join(str(file.relative_to(root)) for file in broken)
    say(f"dbt cannot parse {names}, which gemel generated")
    return opened


def _named(files: list[Path], message: str) -> list[Path]:
    """The files that an error of dbt is about: by their paths, otherwise by the names of their models."""
    by_path = [file for file in files if f"{file.parent.name}/{file.name}" in message.replace(os.sep, "/")]
    return by_path or [file for file in files if re.search(rf"\b{re.escape(file.stem)}\b", message)]


@contextmanager
def _set_aside(files: list[Path]) -> Iterator[None]:
    """Put a model that dbt can parse in the place of each generated model, as others may refer to it, and nothing in
    the place of other files. All are as before afterwards, but newer than what dbt made of that."""
    before = {file: file.read_bytes() for file in files}
    try:
        for file in files:
            text = stand_in(file)
            if text is None:
                file.unlink()
            else:
                write_bytes(file, text.encode())
        yield
    finally:
        for file, content in before.items():
            write_bytes(file, content)
