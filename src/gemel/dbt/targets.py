"""For which target of the profile dbt wrote the artifacts in a folder: they name schemas, and those of another target
would answer from the wrong tables.

dbt itself does not note it. We do where we run it; of what another run wrote, the places of the tables tell.
"""

import json
import re
from contextlib import suppress
from pathlib import Path

from gemel.dbt.profile import Target, read_target
from gemel.dbt.semantic.file import SEMANTIC_MANIFEST
from gemel.errors import GemelError

_NOTE = Path("gemel/target.json")


def find_target(project_dir: Path, target: str | None, profiles_dir: str | None) -> Target | None:
    """The target that is meant; None where there is no profile to read, as on a machine that only checks."""
    try:
        return read_target(project_dir, target=target, profiles_dir=profiles_dir)
    except GemelError:
        return None


def is_of(folder: Path, target: Target) -> bool:
    """Whether the semantic_manifest.json in `folder` was surely written for `target`.

    Where it is not sure, dbt is run once more; where it is taken for sure and is not, numbers are wrong.
    """
    try:
        noted = json.loads((folder / _NOTE).read_bytes())
        if noted["written"] == _written(folder):
            return bool((noted["target"], noted["place"]) == (target.name, target.place))
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no note, or one that is none
    except GemelError:
        return False
    return _fits(folder, target)


def note(folder: Path, target: Target) -> None:
    """Say for which target the artifacts in `folder` were written just now."""
    with suppress(OSError, GemelError):
        told = {"target": target.name, "place": target.place, "written": _written(folder)}
        (folder / _NOTE).parent.mkdir(parents=True, exist_ok=True)
        (folder / _NOTE).write_text(json.dumps(told), encoding="utf-8")


def _written(folder: Path) -> int:
    return (folder / SEMANTIC_MANIFEST).stat().st_mtime_ns


def _fits(folder: Path, target: Target) -> bool:
    """Whether every table is where `target` builds, and none where another one may.

    A model with a schema of its own is in `<schema>_<its own>`, unless the project has dbt name schemas otherwise.
    """
    places = {target.place}
    others = []
    for other in target.others:
        with suppress(GemelError):  # one that cannot be rendered here, for want of a variable, was not built here
            if other.place not in places:
                others.append((other.database, other.schema))
    if not others:
        return True
    try:
        text = (folder / SEMANTIC_MANIFEST).read_text(encoding="utf-8")
        relations = [json.loads(found) for found in re.findall(r'"node_relation":\s*(\{[^{}]*\})', text)]
    except (OSError, ValueError):
        return False
    own = (target.database, target.schema)
    return all(_is_in(relation, own) and not any(_is_in(relation, other) for other in others) for relation in relations)


def _is_in(relation: dict[str, str | None], place: tuple[str | None, str | None]) -> bool:
    database, schema = ((part or "").lower() for part in place)
    found, said = (str(relation.get(key) or "").lower() for key in ("database", "schema_name"))
    same = not database or not found or found == database
    return same and (said == schema or said.startswith(f"{schema}_"))
