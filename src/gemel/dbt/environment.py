"""The environment that a project reads, and whether it is as it was when dbt parsed the project.

Their values are never written, only hashes of them.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_CALL = re.compile(rb"env_var\s*\((?:\s*(['\"])(\w+)\1\s*[,)])?")
_PART = re.compile(rb"['\"]([A-Z][A-Z0-9_]{2,})['\"]")
_SUFFIXES = frozenset({".sql", ".yml", ".yaml", ".py", ".md"})
_SECRET = re.compile(r"^DBT(_ENGINE)?_ENV_SECRET")
_SECRET_SETTING = re.compile(r"pass|pwd|token|secret|key|credential", re.IGNORECASE)
_UNSET = "DBT_DEFAULT_PLACEHOLDER"
"""The value that dbt notes for a variable that is not set."""


Environment = Mapping[str, str]


def read_environment(project_dir: Path) -> Environment:
    """The variables of this process, and those of the nearest file `.env`, which dbt-core reads from 1.12 on."""
    folder = project_dir.absolute()
    file = next((each / ".env" for each in (folder, *folder.parents) if (each / ".env").is_file()), None)
    if file is None or _dbt_version() < (1, 12):
        return os.environ
    try:
        from dotenv import dotenv_values  # dbt-core 1.12 brings it
    except ImportError:
        return os.environ
    written = {name: value for name, value in dotenv_values(file).items() if value is not None}
    return {**written, **os.environ}


def find_setting(environment: Environment, name: str) -> str | None:
    """A variable that replaces an option of dbt, by its newer or older name: DBT_ENGINE_TARGET, DBT_TARGET."""
    return environment.get(f"DBT_ENGINE_{name}") or environment.get(f"DBT_{name}")


def _dbt_version() -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in version("dbt-core").split(".")[:2])
    except (PackageNotFoundError, ValueError):
        return (0,)


@dataclass(frozen=True, slots=True)
class Reads:
    """The variables of the environment that files read: by `names`, or by names that are computed from `parts`."""

    names: frozenset[str] = frozenset()
    parts: frozenset[str] = frozenset()

    def list_names(self, environment: Environment) -> list[str]:
        computed = {name for name in environment if any(part in name for part in self.parts)}
        return sorted(name for name in {*self.names, *computed} if not _SECRET.match(name))


def find_reads(files: Iterable[Path], settings: Mapping[str, object]) -> Reads:
    """What these files read, and the settings of the profile's target, except those that are secrets."""
    names: set[str] = set()
    parts: set[str] = set()
    for file in files:
        if file.suffix in _SUFFIXES:
            try:
                _find(file.read_bytes(), names, parts)
            except OSError:  # dbt will tell
                continue
    for key, value in settings.items():
        if not _SECRET_SETTING.search(key):
            _find(str(value).encode(), names, parts)
    return Reads(frozenset(names), frozenset(parts))


def _find(text: bytes, names: set[str], parts: set[str]) -> None:
    if b"env_var" not in text:
        return
    calls = [match[2] for match in _CALL.finditer(text)]
    names.update(name.decode() for name in calls if name)
    if None in calls:  # a name that is computed; these are the words that it can be made of
        parts.update([part.decode() for part in _PART.findall(text)] or ["DBT"])


def hash_values(reads: Reads, salt: str, environment: Environment) -> dict[str, str | None]:
    """A hash of each variable's value by its name; None for one that is not set."""
    return {name: _hash(environment.get(name), salt) for name in reads.list_names(environment)}


def _hash(value: str | None, salt: str) -> str | None:
    return None if value is None else hashlib.sha256(f"{salt}\0{value}".encode()).hexdigest()[:16]


def find_unproven(reads: Reads, artifacts: Path, project_file: Path, environment: Environment) -> str | None:
    """A variable of which dbt's own notes do not say that it had this value when dbt last parsed; None if there is
    none.

    dbt notes what models and YAML read (partial_parse.msgpack), and a hash of what dbt_project.yml reads.
    """
    names = reads.list_names(environment)
    if not names:
        return None
    try:
        notes = (artifacts / "partial_parse.msgpack").read_bytes()
        project = find_reads([project_file], {}).list_names(environment)
    except OSError:
        return names[0]
    if project:
        told = "".join(f"{name}:{environment.get(name, _UNSET)}|" for name in project)
        if hashlib.sha256(told.encode()).hexdigest().encode() not in notes:
            return project[0]
    for name in names:
        packed = _pack(name)
        # Names that dbt has not noted were not read when it parsed, except by dbt_project.yml and profiles.yml.
        if packed in notes and packed + _pack(environment.get(name, _UNSET)) not in notes:
            return name
    return None


def _pack(text: str) -> bytes:
    """A text in msgpack."""
    data = text.encode()
    if len(data) < 32:
        return bytes([0xA0 | len(data)]) + data
    if len(data) < 256:
        return bytes([0xD9, len(data)]) + data
    return b"\xda" + len(data).to_bytes(2, "big") + data
