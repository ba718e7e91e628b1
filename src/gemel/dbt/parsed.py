"""What dbt's artifacts were parsed with: the target, the variables, the environment.

dbt records none of these beside its artifacts. We do when we run it, in `gemel/parsed.json`. Of artifacts of other runs
we learn what we can (`run_results.json` has the variables, partial_parse.msgpack proves the environment) and record it,
too.
"""

import json
import re
import secrets
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gemel.dbt.environment import Environment, Reads, hash_values
from gemel.dbt.manifest import MANIFEST
from gemel.dbt.profile import Target
from gemel.dbt.semantic.file import SEMANTIC_MANIFEST
from gemel.dbt.variables import OF_ONE_RUN, Vars, parse_vars, write_vars
from gemel.errors import GemelError

_RECORD = Path("gemel/parsed.json")
_HEAD = 4096
"""dbt's artifacts begin with their metadata."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A record. `vars` is None where nobody knows them, `target` where no profile could be read."""

    target: str | None = None
    place: str | None = None
    vars: Vars | None = None
    reads: Reads = field(default_factory=Reads)
    salt: str = ""
    hashes: Mapping[str, str | None] = field(default_factory=dict)

    def find_change(self, environment: Environment) -> str | None:
        """A variable of the environment that has another value now; None if there is none."""
        now = hash_values(self.reads, self.salt, environment)
        return next((name for name in sorted({*now, *self.hashes}) if now.get(name) != self.hashes.get(name)), None)


def read_parsed(folder: Path) -> Parsed | None:
    """The record of the artifacts in a folder; None if they are of a run that nobody recorded."""
    try:
        record = json.loads((folder / _RECORD).read_bytes())
        if record["written"] != _write_time(folder):
            return None
        return Parsed(
            record["target"],
            record["place"],
            parse_vars(record["vars"]),
            Reads(frozenset(record["names"]), frozenset(record["parts"])),
            record["salt"],
            record["environment"],
        )
    except (OSError, ValueError, KeyError, TypeError, GemelError):
        return None


def record_parsed(
    folder: Path, target: Target | None, vars: Vars | None, reads: Reads, environment: Environment
) -> None:
    """Record that the artifacts in a folder are those of this target, these variables and this environment."""
    salt = secrets.token_hex(8)
    with suppress(OSError):
        record: dict[str, Any] = {
            "written": _write_time(folder),
            "target": target.name if target is not None else None,
            "place": _place(target),
            "vars": write_vars(vars) if vars is not None else None,
            "names": sorted(reads.names),
            "parts": sorted(reads.parts),
            "salt": salt,
            "environment": hash_values(reads, salt, environment),
        }
        (folder / _RECORD).parent.mkdir(parents=True, exist_ok=True)
        (folder / _RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")


def find_vars(folder: Path) -> Vars | None:
    """The variables that the artifacts in a folder were parsed with; None if nobody knows them."""
    record = read_parsed(folder)
    return record.vars if record is not None else vars_of_last_run(folder)


def vars_of_last_run(folder: Path) -> Vars | None:
    """The `--vars` in run_results.json, if the manifest is of the same run."""
    try:
        id = _invocation(folder / MANIFEST)
        results = json.loads((folder / "run_results.json").read_bytes())
        if id is None or results["metadata"]["invocation_id"] != id:
            return None
        given = parse_vars(results["args"].get("vars") or {}) or {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, GemelError):
        return None
    return {name: value for name, value in given.items() if name not in OF_ONE_RUN}


def names_its_tables(folder: Path) -> bool:
    """Whether dbt's semantic models name the tables of their models: after a change of the environment alone, dbt's
    partial parse renames only the models."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        for model in manifest["semantic_models"].values():
            nodes = [manifest["nodes"].get(id) or {} for id in model["depends_on"]["nodes"]]
            if model["node_relation"]["relation_name"] not in [node.get("relation_name") for node in nodes]:
                return False
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return True


def _place(target: Target | None) -> str | None:
    try:
        return target.place if target is not None else None
    except GemelError:  # a variable of the profile is not set
        return None


def _invocation(file: Path) -> str | None:
    with file.open("rb") as manifest:
        match = re.search(rb'"invocation_id":\s*"([^"]+)"', manifest.read(_HEAD))
    return match[1].decode() if match else None


def forget_others(folder: Path) -> None:
    """Remove old folders beside one of `--vars`, because those of a date, say, are used once. The last 20 stay, and
    those of the last week."""
    if not folder.name.startswith("vars-"):
        return
    with suppress(OSError):
        others = sorted(folder.parent.glob("vars-*"), key=lambda each: each.stat().st_mtime, reverse=True)
        for old in [each for each in others[20:] if time.time() - each.stat().st_mtime > 7 * 86400]:
            shutil.rmtree(old, ignore_errors=True)


def _write_time(folder: Path) -> int:
    return (folder / SEMANTIC_MANIFEST).stat().st_mtime_ns
