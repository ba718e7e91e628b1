"""The target of the profile for which dbt wrote the artifacts in a folder. They name schemas: those of another target
would give answers from the wrong tables.

dbt itself does not record the target. We do when we run it (`parsed.py`); for artifacts of other runs, we compare where
their tables are.
"""

import json
import re
from contextlib import suppress
from pathlib import Path

from gemel.dbt.parsed import read_parsed
from gemel.dbt.profile import Target, read_target
from gemel.dbt.semantic.file import SEMANTIC_MANIFEST
from gemel.dbt.variables import Vars
from gemel.errors import GemelError


def find_target(
    project_dir: Path, target: str | None, profiles_dir: str | None, vars: Vars | None = None
) -> Target | None:
    """The requested target, or the default; None if no profile can be read, as on a machine that only checks."""
    try:
        return read_target(project_dir, target=target, profiles_dir=profiles_dir, vars=vars)
    except GemelError:
        return None


def is_written_for(folder: Path, target: Target) -> bool:
    """Whether the semantic_manifest.json in `folder` was certainly written for `target`.

    A wrong no runs dbt once more; a wrong yes gives wrong numbers.
    """
    record = read_parsed(folder)
    if record is None or record.target is None:
        return _fits(folder, target)
    try:
        return bool((record.target, record.place) == (target.name, target.place))
    except GemelError:
        return False


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
