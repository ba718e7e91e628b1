"""The target of the profile for which dbt wrote the artifacts in a folder. They name schemas: those of another target
would give answers from the wrong tables.

dbt itself does not record the target. We do when we run it; for artifacts of other runs, we compare where their tables
are.
"""

import json
import re
from contextlib import suppress
from pathlib import Path

from gemel.dbt.profile import Target, read_target
from gemel.dbt.semantic.file import SEMANTIC_MANIFEST
from gemel.errors import GemelError

_RECORD = Path("gemel/target.json")


def find_target(project_dir: Path, target: str | None, profiles_dir: str | None) -> Target | None:
    """The requested target, or the default; None if no profile can be read, as on a machine that only checks."""
    try:
        return read_target(project_dir, target=target, profiles_dir=profiles_dir)
    except GemelError:
        return None


def is_written_for(folder: Path, target: Target) -> bool:
    """Whether the semantic_manifest.json in `folder` was certainly written for `target`.

    A wrong no runs dbt once more; a wrong yes gives wrong numbers.
    """
    try:
        record = json.loads((folder / _RECORD).read_bytes())
        if record["written"] == _write_time(folder):
            return bool((record["target"], record["place"]) == (target.name, target.place))
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no record, or no valid one
    except GemelError:
        return False
    return _fits(folder, target)


def record_target(folder: Path, target: Target) -> None:
    """Record that the artifacts in `folder` have just been written for `target`."""
    with suppress(OSError, GemelError):
        record = {"target": target.name, "place": target.place, "written": _write_time(folder)}
        (folder / _RECORD).parent.mkdir(parents=True, exist_ok=True)
        (folder / _RECORD).write_text(json.dumps(record), encoding="utf-8")


def _write_time(folder: Path) -> int:
    return (folder / SEMANTIC_MANIFEST).stat().st_mtime_ns


def _fits(folder: Path, target: Target) -> bool:
    """Whether every table is where `target` builds, and none where another target may build.

    A model with a custom schema is in `<schema>_<custom schema>`, unless the project overrides how dbt names schemas.
    """
    places = {target.place}
    others = []
    for other in target.others:
        with suppress(GemelError):  # a target whose variables are not set here was not built here
            if other.place not in places:
                others.append((other.database, other.schema))
    if not others:
        return True
    try:
        manifest = (folder / SEMANTIC_MANIFEST).read_text(encoding="utf-8")
        relations = [json.loads(text) for text in re.findall(r'"node_relation":\s*(\{[^{}]*\})', manifest)]
    except (OSError, ValueError):
        return False
    own = (target.database, target.schema)
    return all(_is_in(relation, own) and not any(_is_in(relation, other) for other in others) for relation in relations)


def _is_in(relation: dict[str, str | None], place: tuple[str | None, str | None]) -> bool:
    database, schema = ((part or "").lower() for part in place)
    own_database, own_schema = (str(relation.get(key) or "").lower() for key in ("database", "schema_name"))
    is_same = not database or not own_database or own_database == database
    return is_same and (own_schema == schema or own_schema.startswith(f"{schema}_"))
